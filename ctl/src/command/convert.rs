//! `vanctl convert`: manifests of Skupper's second version as vand's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Session;
use crate::error::{Outcome, Problem, reason};
use crate::kube::Manifest;
use crate::output::Format;

/// How `vanctl convert` is used.
pub(crate) const EXAMPLE: &str = "What can't be carried over is told on standard error. Links need tokens of \
    vand: let the other site make one.\n\nExample:\n  vanctl convert skupper.yaml | kubectl apply -f -";

/// The most bytes of a file.
const FILE_MAX: u64 = 16 << 20;

/// The API group whose objects are read.
const GROUP: &str = "skupper.io/";

/// The options of `vanctl convert`.
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// Manifests of skupper.io/v2alpha1, YAML; `-`: standard input
    file: PathBuf,
}

/// What became of one object.
#[derive(Debug, Default, PartialEq)]
struct Converted {
    /// The object as vand has it, where there is one.
    manifest: Option<Manifest>,
    /// What was not carried over, and what to do.
    notes: Vec<String>,
}

impl Convert {
    pub(super) fn run(self, session: &Session) -> Outcome {
        let shown = self.file.display().to_string();
        let unreadable =
            |error: &io::Error| Problem::failed(format!("can't read {shown}: {}", reason(error)));
        let mut text = String::new();
        let read = match self.file.as_os_str() == "-" {
            true => io::stdin().lock().take(FILE_MAX).read_to_string(&mut text),
            false => File::open(&self.file)
                .and_then(|file| file.take(FILE_MAX).read_to_string(&mut text)),
        };
        read.map_err(|error| unreadable(&error))?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text)
            .map_err(|error| Problem::failed(format!("{shown} is no YAML: {error}")))?;
        let mut documents = Vec::new();
        for object in objects.iter().flat_map(items).filter(|object| !object.is_null()) {
            let named = format!("{} {}", word(object, "/kind"), word(object, "/metadata/name"));
            let converted = convert(object);
            for note in &converted.notes {
                session.output.note(&format!("note: {named}: {note}"));
            }
            if let Some(manifest) = converted.manifest {
                let mut made = manifest.object();
                for field in ["namespace", "labels"] {
                    if let Some(value) = object["metadata"].get(field) {
                        made["metadata"][field] = value.clone();
                    }
                }
                documents.push(made);
            }
        }
        if documents.is_empty() {
            return Err(Problem::failed(format!("{shown} has nothing that can be carried over")));
        }
        if session.output.format == Format::Json {
            return session.output.document(&json!({
                "apiVersion": "v1", "kind": "List", "items": documents,
            }));
        }
        let texts: Result<Vec<_>, _> = documents.iter().map(serde_saphyr::to_string).collect();
        let texts = texts.map_err(|error| Problem::failed(error.to_string()))?;
        session.output.text(&texts.join("---\n"))
    }
}

/// The objects of a list, or the one.
fn items(object: &Value) -> Vec<&Value> {
    match object["items"].as_array() {
        Some(items) => items.iter().collect(),
        None => vec![object],
    }
}

fn word<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn convert(object: &Value) -> Converted {
    if !word(object, "/apiVersion").starts_with(GROUP) {
        return note("it is no object of Skupper, and left out");
    }
    let (name, spec) = (word(object, "/metadata/name"), &object["spec"]);
    let mut converted = match word(object, "/kind") {
        "Site" => site(name, spec),
        "Listener" => listener(name, spec),
        "Connector" => connector(name, spec),
        "AccessGrant" => grant(name, spec),
        "AccessToken" | "Link" => note(
            "it leads to a router of Skupper: make a token at the other site with 'vanctl token create'",
        ),
        "AttachedConnector" => attached(name, spec),
        "AttachedConnectorBinding" => binding(name, spec),
        "RouterAccess" | "SecuredAccess" | "Certificate" => {
            note("vand makes its own certificates; spec.access of the Site says how it is reached")
        }
        other => note(&format!("vand has nothing like {other:?}")),
    };
    if spec["settings"].as_object().is_some_and(|settings| !settings.is_empty()) {
        converted.notes.push("spec.settings are Skupper's own, and left out".into());
    }
    converted
}

fn note(text: &str) -> Converted {
    Converted { manifest: None, notes: vec![text.into()] }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn site(name: &str, spec: &Value) -> Converted {
    let mut notes = Vec::new();
    let kind = match spec["linkAccess"].as_str().unwrap_or("none") {
        "none" => None,
        "route" => Some("Route"),
        "loadbalancer" => Some("LoadBalancer"),
        "default" => {
            notes.push("spec.linkAccess default became LoadBalancer".into());
            Some("LoadBalancer")
        }
        other => {
            notes.push(format!("spec.linkAccess {other}: set spec.access, which needs a host"));
            None
        }
    };
    if spec["ha"] == true {
        notes.push("spec.ha: run 'vanctl init --replicas 2'".into());
    }
    let access = kind.map(|kind| van_crd::Access { kind: kind.into(), ..Default::default() });
    let made = van_crd::SiteSpec {
        mode: (spec["edge"] == true).then(|| "edge".into()),
        access: access.into_iter().collect(),
        // Skupper has a listener for each service, and makes none by itself.
        services: van_crd::SiteServices { import: Vec::new() },
        ..Default::default()
    };
    Converted { manifest: Some(Manifest::new("Site", name, &made)), notes }
}

fn listener(name: &str, spec: &Value) -> Converted {
    let mut notes = Vec::new();
    if spec["exposePodsByName"] == true {
        notes.push("spec.exposePodsByName: set headless in the Connector; Services of pods come by spec.services.import of the Site".into());
    }
    if spec["port"].as_i64().is_none() {
        notes.push("spec.port is missing: set it".into());
    }
    let tls = text(&spec["tlsCredentials"]);
    let made = van_crd::ListenerSpec {
        address: text(&spec["routingKey"]).filter(|address| address != name),
        host: text(&spec["host"]).filter(|host| host != name),
        port: spec["port"].as_i64().unwrap_or(0),
        protocol: text(&spec["type"]),
        tls: tls.map(|secret| van_crd::ListenerTls { secret, verify_clients: false }),
        ..Default::default()
    };
    Converted { manifest: Some(Manifest::new("Listener", name, &made)), notes }
}

/// The labels of a selector, as far as they can be carried over.
fn selector(spec: &Value, notes: &mut Vec<String>) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), value.trim_start_matches('=').trim().to_owned()))
    };
    let selector = spec["selector"].as_str().unwrap_or_default();
    let parts = || selector.split(',').filter(|part| !part.trim().is_empty());
    if parts().any(|part| pair(part).is_none() || part.contains("!=")) {
        notes.push(format!("spec.selector {selector:?}: only KEY=VALUE is carried over"));
    }
    parts().filter(|part| !part.contains("!=")).filter_map(pair).collect()
}

fn attached(name: &str, spec: &Value) -> Converted {
    let mut notes = vec!["the site's pods need a Role in this namespace: see k8s/attached".into()];
    if text(&spec["tlsCredentials"]).is_some() {
        notes.push("spec.tlsCredentials: TLS towards such pods is not in this version".into());
    }
    let made = van_crd::AttachedConnectorSpec {
        site_namespace: text(&spec["siteNamespace"]).unwrap_or_default(),
        port: spec["port"].as_i64(),
        protocol: text(&spec["type"]),
        selector: selector(spec, &mut notes),
        workload: None,
        include_not_ready: spec["includeNotReadyPods"] == true,
    };
    Converted { manifest: Some(Manifest::new("AttachedConnector", name, &made)), notes }
}

fn binding(name: &str, spec: &Value) -> Converted {
    let made = van_crd::AttachedConnectorBindingSpec {
        connector_namespace: text(&spec["connectorNamespace"]).unwrap_or_default(),
        address: text(&spec["routingKey"]).filter(|address| address != name),
        headless: spec["exposePodsByName"] == true,
        ..Default::default()
    };
    let manifest = Manifest::new("AttachedConnectorBinding", name, &made);
    Converted { manifest: Some(manifest), notes: Vec::new() }
}

fn connector(name: &str, spec: &Value) -> Converted {
    let mut notes = Vec::new();
    let selector = selector(spec, &mut notes);
    let tls = text(&spec["tlsCredentials"]);
    let made = van_crd::ConnectorSpec {
        address: text(&spec["routingKey"]).filter(|address| address != name),
        port: spec["port"].as_i64(),
        protocol: text(&spec["type"]),
        selector,
        host: text(&spec["host"]),
        headless: spec["exposePodsByName"] == true,
        include_not_ready: spec["includeNotReadyPods"] == true,
        tls: tls.map(|secret| van_crd::ConnectorTls {
            server_name: None,
            secret: Some(secret),
            client_certificate: spec["useClientCert"] == true,
        }),
        ..Default::default()
    };
    if spec["verifyHostname"] == false {
        notes.push(
            "spec.verifyHostname false: vand always verifies; set spec.tls.serverName".into(),
        );
    }
    Converted { manifest: Some(Manifest::new("Connector", name, &made)), notes }
}

fn grant(name: &str, spec: &Value) -> Converted {
    let mut notes = Vec::new();
    if spec.get("code").is_some() {
        notes.push("spec.code: tokens have secrets of their own".into());
    }
    let window = spec["expirationWindow"].as_str().unwrap_or("15m");
    let read = humantime::parse_duration(window);
    if read.is_err() {
        notes.push(format!("spec.expirationWindow {window:?} can't be read: it became 15 minutes"));
    }
    let seconds = read.map_or(900, |window| window.as_secs());
    let made = van_crd::AccessGrantSpec {
        uses: spec["redemptionsAllowed"].as_i64().unwrap_or(1),
        expires_seconds: i64::try_from(seconds).unwrap_or(900),
        ..Default::default()
    };
    Converted { manifest: Some(Manifest::new("AccessGrant", name, &made)), notes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "specs are written where they are used")]
    fn object(kind: &str, spec: Value) -> Converted {
        convert(&json!({
            "apiVersion": "skupper.io/v2alpha1",
            "kind": kind,
            "metadata": { "name": "backend" },
            "spec": spec,
        }))
    }

    #[test]
    fn what_vand_has_as_well_is_carried_over() {
        let made =
            object("Listener", json!({ "routingKey": "api", "host": "backend", "port": 8080 }));
        assert_eq!(made.notes, [""; 0]);
        let spec = made.manifest.unwrap().spec;
        assert_eq!((&spec["address"], &spec["port"]), (&json!("api"), &json!(8080)));
        assert!(spec.get("host").is_none());
        let made = object(
            "Connector",
            json!({ "routingKey": "api", "port": 80, "selector": "app=web,tier=front" }),
        );
        let spec = made.manifest.unwrap().spec;
        assert_eq!(spec["selector"], json!({ "app": "web", "tier": "front" }));
        let made =
            object("AccessGrant", json!({ "redemptionsAllowed": 3, "expirationWindow": "1h" }));
        let spec = made.manifest.unwrap().spec;
        assert_eq!((&spec["uses"], &spec["expiresSeconds"]), (&json!(3), &json!(3600)));
        let made = object("Site", json!({ "linkAccess": "route", "edge": false }));
        assert_eq!(made.manifest.unwrap().spec["access"][0]["type"], "Route");
    }

    #[test]
    fn both_halves_of_an_attached_workload_are_carried_over() {
        let made = object(
            "AttachedConnector",
            json!({ "siteNamespace": "shop", "port": 80, "selector": "app=web" }),
        );
        assert!(made.notes[0].contains("k8s/attached"), "{made:?}");
        let spec = made.manifest.unwrap().spec;
        assert_eq!(
            (&spec["siteNamespace"], &spec["selector"]),
            (&json!("shop"), &json!({ "app": "web" }))
        );
        let made = object(
            "AttachedConnectorBinding",
            json!({ "connectorNamespace": "data", "routingKey": "api" }),
        );
        assert_eq!(
            made.manifest.unwrap().spec,
            json!({ "connectorNamespace": "data", "address": "api" })
        );
    }

    #[test]
    fn what_can_not_be_carried_over_is_told() {
        for (kind, spec, words) in [
            ("Link", json!({ "endpoints": [] }), "vanctl token create"),
            ("AccessToken", json!({ "url": "https://x", "code": "y" }), "vanctl token create"),
            ("RouterAccess", json!({}), "spec.access"),
            ("Mystery", json!({}), "nothing like"),
        ] {
            let made = object(kind, spec);
            assert!(made.manifest.is_none() && made.notes[0].contains(words), "{made:?}");
        }
        let made = object("Site", json!({ "ha": true, "settings": { "x": "y" } }));
        assert_eq!(made.notes.len(), 2, "{made:?}");
        let made = object("Connector", json!({ "port": 80, "selector": "app!=web" }));
        assert_eq!(made.notes.len(), 1, "{made:?}");
    }
}
