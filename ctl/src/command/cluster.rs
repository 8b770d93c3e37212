//! What commands that change something do in a cluster: they write objects, with the caller's rights.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use van_model::api::{ConnectorView, ListenerView, TokenCreate, TokenCreated};
use van_model::{Address, Bind, Name, Protocol, Target};

use crate::cli::Session;
use crate::client::Mode;
use crate::error::{Exit, Outcome, Problem};
use crate::kube::{self, Cluster, Manifest};

/// Writes an object, waits until it is ready, and says so. A fresh one is refused where it exists.
pub(super) async fn make(
    session: &Session,
    manifest: &Manifest,
    mode: Mode,
    wait: Duration,
) -> Outcome {
    let Some(cluster) = session.cluster().await? else { return Ok(()) };
    if mode == Mode::Fresh && kube::read(cluster, manifest.kind, &manifest.name).await?.is_some() {
        let (kind, name) = (manifest.kind.to_lowercase(), &manifest.name);
        return Err(Problem::failed(format!("an object {kind}/{name} exists already"))
            .hint("choose another name, or delete that one"));
    }
    let mut object = kube::apply(cluster, manifest).await?;
    if !wait.is_zero() {
        object = kube::wait_ready(session.output, cluster, manifest, wait).await?;
    }
    if manifest.kind == "Listener" && object["status"]["targets"] == 0 {
        session.output.note("note: no target yet");
    }
    session.output.done(&manifest.kind.to_lowercase(), &manifest.name, "created", &object)
}

/// Deletes the object of one of these kinds that has the name.
pub(super) async fn remove(
    session: &Session,
    cluster: &Cluster,
    kinds: &[&str],
    name: &str,
    (word, what): (&str, &str),
) -> Outcome {
    for kind in kinds {
        if kube::delete(cluster, kind, name).await? {
            return session.output.gone(word, name, what);
        }
    }
    let why = format!("there is no {word} named {name:?} in namespace {:?}", cluster.namespace);
    Err(Problem::new(Exit::NotFound, why))
}

/// The kinds of objects that a resource of the daemon may be of.
pub(super) fn kinds(resource: &str) -> &'static [&'static str] {
    match resource {
        "link" => &["AccessToken", "Link"],
        "token" => &["AccessGrant"],
        "listener" => &["Listener"],
        "connector" => &["Connector"],
        _ => &[],
    }
}

/// An AccessToken that makes a link; the name is the first that is free, where none is given.
pub(super) async fn link(
    cluster: &Cluster,
    name: Option<&Name>,
    token: String,
    cost: Option<van_model::Cost>,
) -> Outcome<Manifest> {
    let name = match name {
        Some(name) => name.to_string(),
        None => {
            let mut taken = kube::list(cluster, "AccessToken").await?;
            taken.extend(kube::list(cluster, "Link").await?);
            (1..)
                .map(|n| format!("link{n}"))
                .find(|name| !taken.iter().any(|object| object["metadata"]["name"] == **name))
                .unwrap_or_default()
        }
    };
    let spec = van_crd::AccessTokenSpec {
        token: plain_token(token),
        cost: cost.map(|cost| i64::from(cost.get())),
        ..Default::default()
    };
    Ok(Manifest::new("AccessToken", &name, &spec))
}

/// The line of a token that may be given as an object.
fn plain_token(text: String) -> String {
    let object: Option<Value> =
        text.contains("apiVersion").then(|| serde_saphyr::from_str(&text).ok()).flatten();
    let line = object.and_then(|object| object["spec"]["token"].as_str().map(str::to_owned));
    line.unwrap_or(text).trim().to_owned()
}

/// Has the site issue a token by an AccessGrant, and gives it.
pub(super) async fn token(
    session: &Session,
    cluster: &Cluster,
    create: &TokenCreate,
) -> Outcome<TokenCreated> {
    let name = match &create.name {
        Some(name) => name.to_string(),
        None => {
            let taken = kube::list(cluster, "AccessGrant").await?;
            kube::default_name("token", &taken, |_| false)
        }
    };
    let spec = van_crd::AccessGrantSpec {
        uses: i64::from(create.spec.uses.unwrap_or(1)),
        expires_seconds: create
            .spec
            .expires_seconds
            .map_or(900, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
        cost: create.spec.cost.map(|cost| i64::from(cost.get())),
        secret: None,
    };
    let manifest = Manifest::new("AccessGrant", &name, &spec);
    kube::apply(cluster, &manifest).await?;
    let object =
        kube::wait_ready(session.output, cluster, &manifest, Duration::from_secs(30)).await?;
    let status = &object["status"];
    let secret = status["secret"].as_str().unwrap_or(&name);
    let token = kube::secret(cluster, secret, "token").await?.ok_or_else(|| {
        Problem::failed(format!("the Secret {secret} has no token"))
            .hint(format!("kubectl describe accessgrant {name} -n {}", cluster.namespace))
    })?;
    let expires = status["expires"].as_str().and_then(|text| text.parse().ok());
    let expires = expires.ok_or_else(|| Problem::failed("the grant tells no time of expiry"))?;
    let form = Manifest::new("AccessToken", &name, &serde_json::json!({ "token": token }));
    let access_token = serde_saphyr::to_string(&form.object())
        .map_err(|error| Problem::failed(format!("the token can't be written: {error}")))?;
    let uses = create.spec.uses.unwrap_or(1);
    Ok(TokenCreated { name, token, access_token, expires, uses })
}

/// What `vanctl expose` says in a cluster.
pub(super) struct Exposed<'a> {
    pub(super) target: &'a str,
    pub(super) address: Option<&'a Address>,
    /// The service's port, and the target's where it differs.
    pub(super) ports: Option<(u16, Option<u16>)>,
    pub(super) protocol: Protocol,
    pub(super) headless: bool,
    /// How TLS is started towards it.
    pub(super) tls: Option<&'a van_model::ConnectorTls>,
}

/// Where a target is, as a Connector says it.
fn place(text: &str) -> Outcome<(van_crd::ConnectorSpec, Option<String>)> {
    let mut spec = van_crd::ConnectorSpec::default();
    if let Ok(workload) = text.parse::<van_crd::Workload>() {
        spec.workload = Some(workload.to_string());
        return Ok((spec, Some(workload.name)));
    }
    if let Some(selector) = text.strip_prefix("pods/").or_else(|| text.strip_prefix("pod/")) {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        };
        let pairs: Option<BTreeMap<_, _>> = selector.split(',').map(pair).collect();
        spec.selector = pairs.ok_or_else(|| {
            Problem::usage(format!("{selector:?} selects no pods"))
                .hint("write labels: vanctl expose pods/app=web,tier=front --address web")
        })?;
        return Ok((spec, None));
    }
    match text.parse::<Target>() {
        Ok(Target::Tcp(place)) => {
            spec.host = Some(place.host().to_owned());
            spec.port = Some(place.port().into());
        }
        Ok(_) => {
            return Err(Problem::usage(format!("{text} is not to be had in a cluster")).hint(
                "use deployment/NAME, statefulset/NAME, daemonset/NAME, service/NAME, pods/LABEL=VALUE or HOST:PORT",
            ));
        }
        Err(_) if !text.contains('/') => spec.host = Some(text.to_owned()),
        Err(error) => return Err(Problem::usage(error.to_string())),
    }
    Ok((spec, None))
}

/// The Connector that offers a workload.
pub(super) async fn exposed(cluster: &Cluster, asked: &Exposed<'_>) -> Outcome<Manifest> {
    let (mut spec, named) = place(asked.target)?;
    let address = match (asked.address, named) {
        (Some(address), _) => address.to_string(),
        (None, Some(name)) => name,
        (None, None) => {
            return Err(Problem::usage("the service needs a name in the network")
                .hint(format!("vanctl expose {} --address NAME", asked.target)));
        }
    };
    if let Some((service, target)) = asked.ports {
        spec.service_port = Some(service.into());
        spec.port = spec.port.or(Some(target.unwrap_or(service).into()));
    }
    spec.protocol = Some(asked.protocol.to_string());
    spec.headless = asked.headless;
    spec.tls = asked.tls.map(without_files).transpose()?;
    let stem: String = Name::from_lossy(&address)
        .map_or_else(|| "service".into(), |name| name.as_str().chars().take(57).collect());
    spec.address = (stem != address).then(|| address.clone());
    let taken = kube::list(cluster, "Connector").await?;
    let wanted = serde_json::json!(spec);
    let ours = |object: &Value| is_at(&object["spec"], &wanted);
    let name = kube::default_name(stem.trim_end_matches('-'), &taken, ours);
    spec.address = (name != address).then_some(address);
    Ok(Manifest::new("Connector", &name, &spec))
}

/// Whether a Connector's spec says the place of another; a host has a service at each port.
fn is_at(spec: &Value, wanted: &Value) -> bool {
    let same = |field: &&str| spec[*field] == wanted[*field];
    ["workload", "selector", "host"].iter().all(same)
        && (wanted["host"].is_null() || wanted["port"].is_null() || same(&"port"))
}

/// Whether vanctl made an object: what others apply they would apply again.
fn is_ours(object: &Value) -> bool {
    let managers = object["metadata"]["managedFields"].as_array();
    managers.is_none_or(|of| of.iter().any(|fields| fields["manager"] == kube::MANAGER))
}

/// The names of Connectors of vanctl that offer a target, or anything under an address.
///
/// # Errors
/// There are some, and others applied them.
pub(super) async fn exposing(
    cluster: &Cluster,
    target: Option<&str>,
    address: Option<&Address>,
) -> Outcome<Vec<String>> {
    let wanted = target.map(place).transpose()?.map(|(spec, _)| serde_json::json!(spec));
    let all = kube::list(cluster, "Connector").await?;
    let meant = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let of = object["spec"]["address"].as_str().unwrap_or(name);
        let fits = |wanted: &Value| is_at(&object["spec"], wanted);
        wanted.as_ref().is_none_or(fits) && address.is_none_or(|address| address.as_str() == of)
    };
    let (ours, others): (Vec<_>, Vec<_>) = all.iter().filter(meant).partition(|o| is_ours(o));
    let name = |object: &&Value| object["metadata"]["name"].as_str().map(ToOwned::to_owned);
    if let (true, Some(other)) = (ours.is_empty(), others.iter().find_map(name)) {
        let managers = others[0]["metadata"]["managedFields"].as_array();
        let of_spec = managers.into_iter().flatten().find(|of| of["subresource"].is_null());
        let by = of_spec.and_then(|of| of["manager"].as_str()).unwrap_or("another");
        return Err(Problem::failed(format!("connector {other} was applied by {by}")).hint(
            format!("take it away where it comes from, or: kubectl delete connector {other}"),
        ));
    }
    Ok(ours.iter().filter_map(name).collect())
}

/// The Listener that is asked for.
pub(super) fn listener(name: &str, spec: &ListenerView) -> Outcome<Manifest> {
    let Bind::Tcp(bind) = &spec.bind else {
        return Err(Problem::usage(
            "a listener in a cluster is a Service: it has a port and no path",
        )
        .hint("write SERVICE:PORT, or 0.0.0.0:PORT for a Service of the listener's name"));
    };
    let is_address = bind.host().parse::<std::net::IpAddr>().is_ok();
    if spec.tls.is_some() {
        return Err(Problem::usage("files of TLS are keys of a Secret in a cluster")
            .hint("apply a Listener with spec.tls.secret"));
    }
    let routes: Result<Vec<_>, _> = spec.routes.iter().map(serde_json::to_value).collect();
    let crd = van_crd::ListenerSpec {
        address: spec.address.as_ref().map(Address::as_str).filter(|a| *a != name).map(Into::into),
        host: (!is_address && bind.host() != name).then(|| bind.host().to_owned()),
        port: bind.port().into(),
        protocol: Some(spec.protocol.to_string()),
        strategy: Some(spec.strategy.to_string()),
        addresses: spec.addresses.iter().map(ToString::to_string).collect(),
        routes: routes.map_err(|error| Problem::failed(error.to_string()))?,
        tls: None,
        udp_idle_seconds: spec.udp_idle_ms.map(|ms| i64::try_from(ms / 1000).unwrap_or(i64::MAX)),
    };
    Ok(Manifest::new("Listener", name, &crd))
}

/// The Connector that is asked for.
pub(super) fn connector(name: &str, view: &ConnectorView) -> Outcome<Manifest> {
    let Target::Tcp(place) = &view.target else {
        return Err(Problem::usage(format!("{} is not to be had in a cluster", view.target))
            .hint("write HOST:PORT; 'vanctl expose' takes workloads"));
    };
    let crd = van_crd::ConnectorSpec {
        address: view.address.as_ref().map(ToString::to_string),
        port: Some(place.port().into()),
        service_port: view.service_port.map(|port| port.get().into()),
        protocol: Some(view.protocol.to_string()),
        host: Some(place.host().to_owned()),
        check: Some(view.check.to_string()),
        proxy_protocol: view.proxy_protocol,
        priority: Some(view.priority.into()),
        weight: view.weight.map(|weight| weight.get().into()),
        tls: view.tls.as_ref().map(without_files).transpose()?,
        ..Default::default()
    };
    Ok(Manifest::new("Connector", name, &crd))
}

/// TLS towards targets, as far as it can be said without a Secret.
fn without_files(tls: &van_model::ConnectorTls) -> Outcome<van_crd::ConnectorTls> {
    if tls.ca.is_some() || tls.certificate.is_some() {
        return Err(Problem::usage("files of TLS are keys of a Secret in a cluster")
            .hint("apply a Connector with spec.tls.secret"));
    }
    let server_name = tls.server_name.clone();
    Ok(van_crd::ConnectorTls { server_name, ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_a_cluster() {
        let (spec, name) = place("deploy/web").unwrap();
        assert_eq!(
            (spec.workload.as_deref(), name.as_deref()),
            (Some("deployment/web"), Some("web"))
        );
        let (spec, name) = place("pods/app=web,tier=front").unwrap();
        assert_eq!((spec.selector.len(), name), (2, None));
        let (spec, _) = place("db.lan:5432").unwrap();
        assert_eq!((spec.host.as_deref(), spec.port), (Some("db.lan"), Some(5432)));
        for bad in ["pods/web", "unix:/run/x", "deployment/", "job/x:1"] {
            assert_eq!(place(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn two_ports_of_a_host_are_two_places() {
        let spec = |text: &str| serde_json::json!(place(text).unwrap().0);
        assert!(is_at(&spec("db.lan:5432"), &spec("db.lan:5432")));
        assert!(!is_at(&spec("db.lan:5433"), &spec("db.lan:5432")));
        assert!(is_at(&spec("db.lan:5433"), &spec("db.lan")), "every port is meant");
        let mut at_port = spec("deployment/web");
        at_port["port"] = 8080.into();
        assert!(is_at(&at_port, &spec("deployment/web")));
        assert!(!is_at(&at_port, &spec("deployment/api")));
    }

    #[test]
    fn a_token_in_either_form() {
        assert_eq!(plain_token("van1.abc\n".into()), "van1.abc");
        let object = "apiVersion: vand.dev/v1alpha1\nkind: AccessToken\nspec:\n  token: van1.abc\n";
        assert_eq!(plain_token(object.into()), "van1.abc");
    }

    #[test]
    fn a_listener_is_a_service() {
        let asked = |bind: &str| {
            let view: ListenerView =
                serde_json::from_value(serde_json::json!({ "bind": bind })).unwrap();
            listener("web", &view)
        };
        let manifest = asked("0.0.0.0:80").unwrap();
        assert_eq!((&manifest.spec["port"], &manifest.spec["host"]), (&80.into(), &Value::Null));
        assert_eq!(asked("shop:80").unwrap().spec["host"], "shop");
        assert_eq!(asked("unix:/x").unwrap_err().exit, Exit::Usage);
    }
}
