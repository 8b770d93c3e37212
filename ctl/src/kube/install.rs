//! A site installed into a namespace, and taken out of it.

use std::time::Duration;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use serde_json::{Value, json};

use super::objects::{MANAGER, Manifest, delete, list, wait_ready};
use super::pod::Pod;
use super::{Cluster, problem};
use crate::error::{Exit, Outcome, Problem};
use crate::output::Output;
use crate::wait::{Verdict, until};

/// The definitions of the custom resources.
const DEFINITIONS: [&str; 8] = [
    include_str!("../../../k8s/crds/sites.yaml"),
    include_str!("../../../k8s/crds/links.yaml"),
    include_str!("../../../k8s/crds/listeners.yaml"),
    include_str!("../../../k8s/crds/connectors.yaml"),
    include_str!("../../../k8s/crds/accessgrants.yaml"),
    include_str!("../../../k8s/crds/accesstokens.yaml"),
    include_str!("../../../k8s/crds/attachedconnectors.yaml"),
    include_str!("../../../k8s/crds/attachedconnectorbindings.yaml"),
];

/// What a namespace gets.
const BASE: [&str; 4] = [
    include_str!("../../../k8s/base/service-account.yaml"),
    include_str!("../../../k8s/base/role.yaml"),
    include_str!("../../../k8s/base/deployment.yaml"),
    include_str!("../../../k8s/base/disruption-budget.yaml"),
];

/// Time for the site's pods to end: theirs is half a minute.
const GRACE: Duration = Duration::from_secs(60);

/// The image unless said otherwise.
const IMAGE: &str = "localhost/vand:latest";

/// The Lease of the pod that leads.
pub(super) const LEASE: &str = "vand";

/// How a site is installed.
#[derive(Debug, Clone)]
pub(crate) struct Install {
    /// The site's name; default: the namespace's.
    pub(crate) name: Option<String>,
    /// What the Site is to say.
    pub(crate) site: van_crd::SiteSpec,
    /// The daemon's image.
    pub(crate) image: Option<String>,
    /// How many pods.
    pub(crate) replicas: Option<u16>,
}

/// All objects of an installation, in the order in which they are made.
pub(crate) fn dry_run(cluster: &Cluster, install: &Install) -> Outcome<Vec<Value>> {
    let mut objects = Vec::new();
    for text in DEFINITIONS {
        objects.extend(documents(text)?);
    }
    for text in BASE {
        for mut object in documents(text)? {
            object["metadata"]["namespace"] = cluster.namespace.as_str().into();
            if object["kind"] == "Deployment" {
                let image = install.image.as_deref().unwrap_or(IMAGE);
                object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
                if let Some(replicas) = install.replicas {
                    object["spec"]["replicas"] = replicas.into();
                }
            }
            objects.push(object);
        }
    }
    let mut site = manifest(cluster, install).object();
    site["metadata"]["namespace"] = cluster.namespace.as_str().into();
    objects.push(site);
    Ok(objects)
}

/// The Site of an installation.
fn manifest(cluster: &Cluster, install: &Install) -> Manifest {
    let name = install.name.as_deref().unwrap_or(&cluster.namespace);
    Manifest::new("Site", name, &install.site)
}

/// An installation with what is there already, as far as `install` does not say otherwise.
///
/// # Errors
/// The cluster refuses to tell.
pub(crate) async fn with_present(cluster: &Cluster, mut install: Install) -> Outcome<Install> {
    // Before the definitions are there, there is no Site.
    let sites = match list(cluster, "Site").await {
        Err(problem) if problem.exit == Exit::NotFound => Vec::new(),
        sites => sites?,
    };
    let wanted = install.name.as_deref();
    let site = sites.iter().find(|site| wanted.is_none_or(|name| site["metadata"]["name"] == name));
    if let Some(site) = site {
        install.name = site["metadata"]["name"].as_str().map(Into::into);
        if let Ok(present) = serde_json::from_value::<van_crd::SiteSpec>(site["spec"].clone()) {
            let asked = std::mem::replace(&mut install.site, present);
            install.site.mode = asked.mode.or(install.site.mode.take());
            if !asked.access.is_empty() {
                install.site.access = asked.access;
            }
        }
    }
    let (deployments, name) = api_of(cluster, &documents(BASE[2])?.remove(0));
    let there = deployments.get_opt(&name).await;
    let there = there.map_err(|error| problem("the deployment can't be read", error))?;
    if let Some(there) = there {
        let spec = &there.data["spec"];
        let image = &spec["template"]["spec"]["containers"][0]["image"];
        install.image = install.image.or_else(|| image.as_str().map(Into::into));
        let replicas = spec["replicas"].as_u64().and_then(|count| count.try_into().ok());
        install.replicas = install.replicas.or(replicas);
    }
    Ok(install)
}

/// Whether the cluster serves the kind of a definition.
async fn is_served(cluster: &Cluster, definition: &Value) -> bool {
    match definition["spec"]["names"]["kind"].as_str() {
        Some(kind) => list(cluster, kind).await.is_ok(),
        None => false,
    }
}

/// Installs a site, or changes the one that is there, and waits until it runs.
///
/// # Errors
/// The cluster refuses, or it is not ready in time.
pub(crate) async fn install(
    output: Output,
    cluster: &Cluster,
    install: &Install,
    limit: Duration,
) -> Outcome {
    make_namespace(output, cluster).await?;
    for object in dry_run(cluster, install)? {
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match apply(cluster, &object).await {
            // They are the whole cluster's, and somebody with the right has made them.
            Err(problem)
                if kind == "customresourcedefinition"
                    && problem.exit == Exit::NotAllowed
                    && is_served(cluster, &object).await =>
            {
                output.note(&format!("note: {kind}/{name} is there, and left as it is"));
                continue;
            }
            applied => applied?,
        }
        output.said(&format!("{kind}/{name} applied"))?;
    }
    if limit.is_zero() {
        return Ok(());
    }
    let site = manifest(cluster, install);
    let waited = wait_ready(output, cluster, &site, limit).await;
    waited.map_err(|problem| match problem.hint {
        Some(_) => problem.hint(format!(
            "kubectl get pods -n {} -l {}; it stays, and may still become ready",
            cluster.namespace,
            super::POD_LABEL
        )),
        None => problem,
    })?;
    wait_for_pods(output, cluster, limit).await?;
    output.said(&format!("site {} runs in namespace {}", site.name, cluster.namespace))
}

/// Waits until all pods of the site are those that are wanted, and ready.
async fn wait_for_pods(output: Output, cluster: &Cluster, limit: Duration) -> Outcome {
    let object = documents(BASE[2])?.remove(0);
    let (api, name) = api_of(cluster, &object);
    until(output, "deployment vand-router", limit, async || {
        let found = api.get(&name).await;
        let found = found.map_err(|error| problem("the deployment can't be read", error))?;
        let (meta, found) = (found.metadata, found.data);
        let number = |field: &str| found["status"][field].as_i64().unwrap_or(0);
        let wanted = found["spec"]["replicas"].as_i64().unwrap_or(1);
        let seen = found["status"]["observedGeneration"].as_i64() == meta.generation;
        let (updated, ready) = (number("updatedReplicas"), number("readyReplicas"));
        Ok(match seen && updated == wanted && ready == wanted && number("replicas") == wanted {
            true => Verdict::Done(()),
            false => Verdict::Pending(format!("{ready} of {wanted} pods are ready")),
        })
    })
    .await
}

/// Takes a site out of a namespace, with everything that vand has made in it.
///
/// # Errors
/// The cluster refuses.
pub(crate) async fn uninstall(output: Output, cluster: &Cluster, definitions: bool) -> Outcome {
    // Links first, so that other sites hear of it; the Site's Services go with it.
    for kind in [
        "AttachedConnectorBinding",
        "AccessToken",
        "Link",
        "AccessGrant",
        "Listener",
        "Connector",
        "Site",
    ] {
        let objects = match list(cluster, kind).await {
            // Without definitions there are no objects, but there may be the rest.
            Err(problem) if problem.exit == Exit::NotFound => Vec::new(),
            objects => objects?,
        };
        for object in objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            if delete(cluster, kind, name).await? {
                output.said(&format!("{}/{name} deleted", kind.to_lowercase()))?;
            }
        }
    }
    // What still runs would write its state once more.
    let deployment = documents(BASE[2])?.remove(0);
    remove(output, cluster, &deployment).await?;
    wait_until_gone(output, cluster).await?;
    let state =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vand-state" } });
    let lead = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": LEASE },
    });
    let mut objects = vec![state, lead];
    for text in BASE.iter().rev() {
        objects.extend(documents(text)?);
    }
    if definitions {
        for text in DEFINITIONS {
            objects.extend(documents(text)?);
        }
    }
    for object in objects {
        remove(output, cluster, &object).await?;
    }
    Ok(())
}

/// Waits until no pod of the site is left.
async fn wait_until_gone(output: Output, cluster: &Cluster) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let of_site = ListParams::default().labels(super::POD_LABEL);
    until(output, "the site's pods", GRACE, async || {
        let left = pods.list(&of_site).await;
        let left = left.map_err(|error| problem("vand's pods can't be listed", error))?.items.len();
        Ok(if left == 0 {
            Verdict::Done(())
        } else {
            Verdict::Pending(format!("{left} are ending"))
        })
    })
    .await
}

async fn remove(output: Output, cluster: &Cluster, object: &Value) -> Outcome {
    let (api, name) = api_of(cluster, object);
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    match api.delete(&name, &DeleteParams::foreground()).await {
        Ok(_) => output.said(&format!("{kind}/{name} deleted")),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(problem(&format!("{kind} {name} can't be deleted"), error)),
    }
}

/// Makes the namespace where it is missing and the caller may.
async fn make_namespace(output: Output, cluster: &Cluster) -> Outcome {
    let name = &cluster.namespace;
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let (api, _) = api_of(cluster, &object);
    match api.get_opt(name).await {
        Ok(Some(_)) => return Ok(()),
        // Who may not see namespaces may well use this one.
        Err(_) => return Ok(()),
        Ok(None) => {}
    }
    apply(cluster, &object).await?;
    output.said(&format!("namespace/{name} made"))
}

async fn apply(cluster: &Cluster, object: &Value) -> Outcome {
    let (api, name) = api_of(cluster, object);
    let params = PatchParams::apply(MANAGER).force();
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let mut tries = 0;
    loop {
        match api.patch(&name, &params, &Patch::Apply(object)).await {
            Ok(_) => return Ok(()),
            // A definition that was just made is served a moment later.
            Err(kube::Error::Api(status))
                if status.code == 404 && super::is_unknown_kind(&status.message) && tries < 50 =>
            {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                let problem = problem(&format!("{kind} {name} can't be made"), error);
                return Err(match kind.as_str() {
                    "customresourcedefinition" => problem.hint(
                        "definitions are the whole cluster's: have its administrator apply k8s/crds once",
                    ),
                    _ => problem,
                });
            }
        }
    }
}

pub(super) fn api_of(cluster: &Cluster, object: &Value) -> (Api<DynamicObject>, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, version) = (text(&object["kind"]), text(&object["apiVersion"]));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api = match kind.as_str() {
        "CustomResourceDefinition" | "Namespace" => {
            Api::all_with(cluster.client.clone(), &resource)
        }
        _ => Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource),
    };
    (api, text(&object["metadata"]["name"]))
}

/// The documents of a file of this program's own.
fn documents(text: &str) -> Outcome<Vec<Value>> {
    let read = |part: &str| {
        serde_saphyr::from_str::<Value>(part)
            .map_err(|error| Problem::failed(format!("an own manifest can't be read: {error}")))
    };
    text.split("\n---\n").map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_manifests_can_be_read() {
        for text in DEFINITIONS.iter().chain(&BASE) {
            for object in documents(text).unwrap() {
                assert!(object["kind"].is_string() && object["metadata"]["name"].is_string());
            }
        }
    }
}
