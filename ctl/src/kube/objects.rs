//! Custom resources of vand, written with the caller's own rights.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use serde_json::{Value, json};

use super::{Cluster, problem};
use crate::error::{Outcome, Problem};
use crate::wait::{Verdict, until};

/// The field manager of what is written here.
pub(crate) const MANAGER: &str = "vanctl";

/// Reasons for which an object never becomes ready by itself.
const FINAL: [&str; 5] = ["Invalid", "Conflict", "ServiceExists", "SecretExists", "BadToken"];

/// A custom resource as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// Its kind, as `Connector`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// What is wanted.
    pub(crate) spec: Value,
}

impl Manifest {
    /// One of these types' specs.
    pub(crate) fn new(kind: &'static str, name: &str, spec: &impl serde::Serialize) -> Self {
        Self { kind, name: name.to_owned(), spec: json!(spec) }
    }

    /// The whole object.
    pub(crate) fn object(&self) -> Value {
        json!({
            "apiVersion": format!("{}/{}", van_crd::GROUP, van_crd::VERSION),
            "kind": self.kind,
            "metadata": { "name": self.name },
            "spec": self.spec,
        })
    }
}

fn api(cluster: &Cluster, kind: &str) -> Api<DynamicObject> {
    let of = GroupVersionKind::gvk(van_crd::GROUP, van_crd::VERSION, kind);
    let plural =
        van_crd::KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, plural)| plural);
    let resource = ApiResource::from_gvk_with_plural(&of, plural);
    Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource)
}

/// Makes an object, or changes it.
///
/// # Errors
/// The cluster refuses.
pub(crate) async fn apply(cluster: &Cluster, manifest: &Manifest) -> Outcome<Value> {
    let params = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(manifest.object());
    let made = api(cluster, manifest.kind).patch(&manifest.name, &params, &patch).await;
    let what = format!("{} {} can't be made", manifest.kind.to_lowercase(), manifest.name);
    made.map(|object| json!(object)).map_err(|error| problem(&what, error))
}

/// One object; `None`: there is none of this name.
///
/// # Errors
/// The cluster refuses.
pub(crate) async fn read(cluster: &Cluster, kind: &str, name: &str) -> Outcome<Option<Value>> {
    let found = api(cluster, kind).get_opt(name).await;
    let what = format!("{} {name} can't be read", kind.to_lowercase());
    found.map(|object| object.map(|object| json!(object))).map_err(|error| problem(&what, error))
}

/// All objects of a kind.
///
/// # Errors
/// The cluster refuses.
pub(crate) async fn list(cluster: &Cluster, kind: &str) -> Outcome<Vec<Value>> {
    let found = api(cluster, kind).list(&ListParams::default()).await;
    let what = format!("{}s can't be listed", kind.to_lowercase());
    let found = found.map_err(|error| problem(&what, error))?;
    Ok(found.items.iter().map(|object| json!(object)).collect())
}

/// Deletes an object; `false`: there was none of this name.
///
/// # Errors
/// The cluster refuses.
pub(crate) async fn delete(cluster: &Cluster, kind: &str, name: &str) -> Outcome<bool> {
    match api(cluster, kind).delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status))
            if status.code == 404 && !super::is_unknown_kind(&status.message) =>
        {
            Ok(false)
        }
        Err(error) => {
            Err(problem(&format!("{} {name} can't be deleted", kind.to_lowercase()), error))
        }
    }
}

/// What a Secret's key holds; `None`: there is no such Secret or key yet.
///
/// # Errors
/// The cluster refuses.
pub(crate) async fn secret(cluster: &Cluster, name: &str, key: &str) -> Outcome<Option<String>> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let found = secrets.get_opt(name).await;
    let found = found.map_err(|error| problem(&format!("secret {name} can't be read"), error))?;
    let value = found.and_then(|secret| secret.data?.remove(key));
    Ok(value.and_then(|value| String::from_utf8(value.0).ok()))
}

/// Waits until an object is ready, and gives it.
///
/// # Errors
/// It never will be, for a reason that is told; or the time is over.
pub(crate) async fn wait_ready(
    output: crate::output::Output,
    cluster: &Cluster,
    manifest: &Manifest,
    limit: std::time::Duration,
) -> Outcome<Value> {
    let what = format!("{} {}", manifest.kind.to_lowercase(), manifest.name);
    until(output, &what, limit, async || {
        let found = read(cluster, manifest.kind, &manifest.name).await?;
        let Some(object) = found else {
            return Ok(Verdict::Failed(Problem::failed(format!("{what} was deleted"))));
        };
        Ok(judge(object))
    })
    .await
}

/// How an object stands by its own condition, which may speak of an earlier generation.
fn judge(object: Value) -> Verdict<Value> {
    let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.and_then(|all| all.iter().find(|c| c["type"] == "Ready"));
    let Some(ready) = ready.filter(|_| current) else {
        return Verdict::Pending("vand has not looked at it yet".into());
    };
    let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
    if ready["status"] == "True" {
        return Verdict::Done(object);
    }
    let why = if text("message").is_empty() { text("reason") } else { text("message") };
    if FINAL.contains(&text("reason").as_str()) {
        return Verdict::Failed(Problem::failed(why));
    }
    Verdict::Pending(why)
}

/// The first of `STEM`, `STEM-2` and so on that no object of a kind has, but for those that `ours` takes.
pub(crate) fn default_name(stem: &str, taken: &[Value], ours: impl Fn(&Value) -> bool) -> String {
    let is_free = |name: &str| {
        taken.iter().find(|object| object["metadata"]["name"] == name).is_none_or(&ours)
    };
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    std::iter::once(stem.to_owned())
        .chain(numbered)
        .find(|name| is_free(name))
        .unwrap_or_else(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_word_on_an_object_does_not_count() {
        let object = |seen: u32, status: &str, reason: &str| {
            let ready =
                json!({ "type": "Ready", "status": status, "reason": reason, "message": "why" });
            json!({
                "metadata": { "generation": 2 },
                "status": { "observedGeneration": seen, "conditions": [ready] },
            })
        };
        assert!(matches!(judge(object(1, "True", "Ready")), Verdict::Pending(_)));
        assert!(matches!(judge(object(2, "True", "Ready")), Verdict::Done(_)));
        assert!(
            matches!(judge(object(2, "False", "NoTargets")), Verdict::Pending(why) if why == "why")
        );
        assert!(matches!(judge(object(2, "False", "Invalid")), Verdict::Failed(_)));
        assert!(matches!(judge(json!({ "metadata": {} })), Verdict::Pending(_)));
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let taken =
            [json!({ "metadata": { "name": "a" } }), json!({ "metadata": { "name": "a-2" } })];
        assert_eq!(default_name("a", &taken, |_| false), "a-3");
        assert_eq!(default_name("a", &taken, |_| true), "a");
        assert_eq!(default_name("b", &taken, |_| false), "b");
    }
}
