//! Plans of small namespaces.

#![expect(clippy::needless_pass_by_value, reason = "objects are written where they are used")]

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::*;
use crate::index::Any;
use crate::object::wire;
use crate::outbox::{Act, due};

/// A namespace that objects are put into as a cluster would send them.
#[derive(Default)]
struct Namespace {
    index: Index,
    offered: BTreeMap<Address, Offered>,
    secrets: BTreeMap<(String, String), Result<String, String>>,
    neighbours: BTreeMap<String, Neighbour>,
    link_secrets: BTreeMap<String, Result<String, String>>,
    linked: BTreeSet<String>,
}

fn read<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

impl Namespace {
    fn with_site() -> Self {
        Self::default().custom(Kind::Site, "here", json!({}))
    }

    fn custom(mut self, kind: Kind, name: &str, spec: Value) -> Self {
        let object =
            json!({ "metadata": { "name": name, "uid": format!("uid-{name}") }, "spec": spec });
        self.index.set(kind, Any::Custom(read::<wire::Object>(object).into()));
        self
    }

    fn pod(mut self, name: &str, app: &str, ip: &str, ready: bool) -> Self {
        let status = json!({
            "phase": "Running",
            "podIP": ip,
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        });
        let object =
            json!({ "metadata": { "name": name, "labels": { "app": app } }, "status": status });
        self.index.set(Kind::Pod, Any::Pod(read::<wire::Pod>(object).into()));
        self
    }

    fn deployment(mut self, name: &str, annotations: Value) -> Self {
        let object = json!({
            "metadata": { "name": name, "uid": format!("uid-{name}"), "annotations": annotations },
            "spec": {
                "selector": { "matchLabels": { "app": name } },
                "template": { "spec": { "containers": [{ "ports": [{ "containerPort": 8080 }] }] } },
            },
        });
        self.index.set(Kind::Deployment, Any::Workload(read::<wire::Workload>(object).into()));
        self
    }

    fn service(mut self, name: &str, metadata: Value, spec: Value) -> Self {
        let mut object = json!({ "metadata": metadata, "spec": spec });
        object["metadata"]["name"] = name.into();
        object["metadata"]["uid"] = format!("uid-{name}").into();
        self.index.set(Kind::Service, Any::Service(read::<wire::Service>(object).into()));
        self
    }

    fn endpoints(mut self, service: &str, port: u16, pods: &[(&str, &str, bool)]) -> Self {
        let endpoint = |(pod, ip, ready): &(&str, &str, bool)| {
            json!({
                "addresses": [ip],
                "conditions": { "ready": ready },
                "targetRef": { "kind": "Pod", "name": pod },
            })
        };
        let object = json!({
            "metadata": {
                "name": format!("{service}-abc"),
                "labels": { "kubernetes.io/service-name": service },
            },
            "ports": [{ "name": "", "port": port }],
            "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
        });
        self.index.set(Kind::EndpointSlice, Any::Slice(read::<wire::Slice>(object).into()));
        self
    }

    fn offered(mut self, address: &str, port: u16) -> Self {
        let offered = Offered { port, protocol: Protocol::Tcp, elsewhere: true };
        self.offered.insert(address.parse().unwrap(), offered);
        self
    }

    fn context(&self) -> Context {
        Context {
            namespace: "ns".into(),
            bind: Ipv4Addr::UNSPECIFIED.into(),
            own_labels: BTreeMap::from([("application".into(), "vand-router".into())]),
            offered: self.offered.clone(),
            secrets: self.secrets.clone(),
            link_secrets: self.link_secrets.clone(),
            linked: self.linked.clone(),
            secret_files: "/secrets".into(),
            neighbours: self.neighbours.clone(),
        }
    }

    fn plan(&self) -> Plan {
        plan(&self.index, &self.context())
    }

    /// Puts the Services of a plan into the namespace, as a cluster would show them.
    fn made(mut self, plan: &Plan) -> Self {
        for act in due(plan, &self.index, &self.context().own_labels, &[]) {
            let Act::Apply { kind, object, .. } = act else { continue };
            match kind {
                Kind::Service => {
                    self.index.set(kind, Any::Service(read::<wire::Service>(object).into()));
                }
                _ => {
                    self.index.set(kind, Any::Slice(read::<wire::Slice>(object).into()));
                }
            }
        }
        self
    }
}

fn targets(plan: &Plan) -> Vec<String> {
    plan.connectors.iter().map(|c| format!("{}={}", c.address, c.target)).collect()
}

fn verdict(plan: &Plan, kind: Kind, name: &str) -> (String, String) {
    match &plan.verdicts[&Key::new(kind, name)] {
        Verdict::Accepted => ("Accepted".into(), String::new()),
        Verdict::Refused(reason, why) | Verdict::Waiting(reason, why) => {
            ((*reason).into(), why.clone())
        }
    }
}

#[test]
fn nothing_is_wanted_without_a_site() {
    let namespace = Namespace::default().custom(Kind::Listener, "a", json!({ "port": 80 }));
    let plan = namespace.plan();
    assert!(plan.site.is_none() && plan.listeners.is_empty() && plan.services.is_empty());
    assert_eq!(verdict(&plan, Kind::Listener, "a").0, "NoSite");
}

#[test]
fn of_two_sites_the_older_counts() {
    let site = |name: &str, created: &str| {
        let metadata = json!({ "name": name, "creationTimestamp": created });
        Any::Custom(read::<wire::Object>(json!({ "metadata": metadata })).into())
    };
    let mut namespace = Namespace::default();
    namespace.index.set(Kind::Site, site("a-young", "2026-02-01T00:00:00Z"));
    namespace.index.set(Kind::Site, site("old", "2026-01-01T00:00:00Z"));
    let plan = namespace.plan();
    assert_eq!(plan.site.as_ref().unwrap().spec.name.as_str(), "old");
    assert_eq!(verdict(&plan, Kind::Site, "a-young").0, "Conflict");
}

#[test]
fn a_site_of_a_newer_version_says_so_and_another_counts() {
    let namespace = Namespace::with_site().custom(Kind::Site, "a", json!({ "mode": "quantum" }));
    let plan = namespace.plan();
    assert_eq!(plan.site.as_ref().unwrap().object, "here");
    let (reason, why) = verdict(&plan, Kind::Site, "a");
    assert_eq!(reason, "Invalid");
    assert!(why.contains("spec.mode") && why.contains("interior, edge"), "{why}");
}

#[test]
fn ready_pods_are_targets_and_the_others_are_not() {
    let namespace = Namespace::with_site()
        .deployment("web", json!({}))
        .pod("web-1", "web", "10.0.0.1", true)
        .pod("web-2", "web", "10.0.0.2", false)
        .pod("db-1", "db", "10.0.0.3", true)
        .custom(Kind::Connector, "c", json!({ "workload": "deployment/web", "address": "shop" }));
    assert_eq!(targets(&namespace.plan()), ["shop=10.0.0.1:8080"]);
    let all = json!({ "workload": "deployment/web", "includeNotReady": true, "port": 81 });
    let plan = namespace.custom(Kind::Connector, "c", all).plan();
    assert_eq!(targets(&plan), ["c=10.0.0.1:81", "c=10.0.0.2:81"]);
    assert_eq!(plan.targets[&Key::new(Kind::Connector, "c")].len(), 2);
    assert_eq!(plan.connectors[0].check, van_model::Check::None, "probes watch pods already");
}

#[test]
fn a_targets_name_stays_while_other_pods_come_and_go() {
    let namespace = Namespace::with_site().pod("web-1", "web", "10.0.0.1", true).custom(
        Kind::Connector,
        "c",
        json!({ "selector": { "app": "web" }, "port": 80 }),
    );
    let before = namespace.plan().connectors[0].name.clone();
    let more = namespace.pod("web-0", "web", "10.0.0.9", true).plan();
    assert_eq!(more.connectors.len(), 2);
    assert!(more.connectors.iter().any(|c| c.name == before));
    assert_ne!(more.connectors[0].name, more.connectors[1].name);
}

#[test]
fn what_is_wrong_with_a_connector_is_said_of_it_alone() {
    let namespace = Namespace::with_site()
        .pod("web-1", "web", "10.0.0.1", true)
        .custom(Kind::Connector, "good", json!({ "selector": { "app": "web" }, "port": 80 }))
        .custom(Kind::Connector, "port", json!({ "selector": { "app": "web" }, "port": 99999 }))
        .custom(Kind::Connector, "none", json!({ "selector": { "app": "nobody" }, "port": 80 }))
        .custom(Kind::Connector, "gone", json!({ "workload": "deployment/gone", "port": 80 }))
        .custom(
            Kind::Connector,
            "both",
            json!({ "host": "h", "workload": "deployment/gone", "port": 80 }),
        )
        .custom(Kind::Connector, "text", json!({ "port": "eighty", "host": "h" }))
        .custom(Kind::Connector, "what", json!("nonsense"));
    let plan = namespace.plan();
    assert_eq!(targets(&plan), ["good=10.0.0.1:80"]);
    for (name, reason, words) in [
        ("port", "Invalid", "spec.port: 99999 is not from 1 to 65535"),
        ("none", "NoTargets", "there is none"),
        ("gone", "NoWorkload", "no deployment/gone"),
        ("both", "Invalid", "exclude each other"),
        ("text", "Invalid", "spec"),
        ("what", "Invalid", "spec"),
    ] {
        let (found, why) = verdict(&plan, Kind::Connector, name);
        assert_eq!(found, reason, "{name}: {why}");
        assert!(why.contains(words), "{name}: {why}");
    }
}

#[test]
fn each_pod_of_a_headless_connector_has_a_name() {
    let namespace = Namespace::with_site()
        .service("database", json!({}), json!({ "ports": [{ "port": 5432 }], "clusterIP": "None" }))
        .endpoints(
            "database",
            5432,
            &[("database-0", "10.0.0.1", true), ("database-1", "10.0.0.2", true)],
        )
        .custom(
            Kind::Connector,
            "database",
            json!({ "workload": "service/database", "headless": true }),
        );
    let mut found = targets(&namespace.plan());
    found.sort();
    assert_eq!(
        found,
        [
            "database-0.database=10.0.0.1:5432",
            "database-1.database=10.0.0.2:5432",
            "database=10.0.0.1:5432",
            "database=10.0.0.2:5432",
        ]
    );
}

#[test]
fn pods_of_other_sites_have_their_names_here() {
    let namespace = Namespace::with_site()
        .offered("database", 5432)
        .offered("database-0.database", 5432)
        .offered("database-1.database", 5432);
    let plan = namespace.plan();
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), ["database-0", "database-1"]);
    let headless = &plan.headless["database"];
    assert_eq!(headless.hosts.iter().collect::<Vec<_>>(), ["database-0", "database-1"]);
    let labels = namespace.context().own_labels;
    let mut namespace = namespace.made(&plan);
    // A cluster gives each an address.
    for (name, ip) in [("database-0", "10.9.0.1"), ("database-1", "10.9.0.2")] {
        let mut service = (**namespace.index.service(name).unwrap()).clone();
        service.ip = ip.parse().ok();
        namespace.index.set(Kind::Service, Any::Service(service));
    }
    let [Act::Apply { kind: Kind::EndpointSlice, object, .. }] =
        &due(&namespace.plan(), &namespace.index, &labels, &[])[..]
    else {
        panic!("{:?}", due(&namespace.plan(), &namespace.index, &labels, &[]));
    };
    assert_eq!(object["endpoints"][1]["hostname"], "database-1");
    assert_eq!(object["endpoints"][1]["addresses"][0], "10.9.0.2");
    let namespace = namespace.made(&plan);
    assert_eq!(due(&namespace.plan(), &namespace.index, &labels, &[]), []);
    // Where the pods are, their own Service names them.
    let own = json!({ "clusterIP": "None", "ports": [{ "port": 5432 }] });
    let there = Namespace::with_site().offered("database-0.database", 5432).service(
        "database",
        json!({}),
        own,
    );
    assert!(there.plan().services.is_empty() && there.plan().headless.is_empty());
}

#[test]
fn annotations_offer_what_they_stand_at() {
    let annotations =
        json!({ "vand.dev/expose": "http", "vand.dev/address": "shop", "other/key": "x" });
    let namespace =
        Namespace::with_site().deployment("web", annotations).pod("web-1", "web", "10.0.0.1", true);
    let plan = namespace.plan();
    assert_eq!(targets(&plan), ["shop=10.0.0.1:8080"]);
    assert_eq!(plan.connectors[0].protocol, Protocol::Http);
    let bad = namespace.deployment("web", json!({ "vand.dev/expose": "smtp" })).plan();
    let (reason, why) = verdict(&bad, Kind::Deployment, "web");
    assert_eq!(reason, "Invalid");
    assert!(why.contains("tcp, http, http2, udp"), "{why}");
}

#[test]
fn skuppers_annotations_are_understood_where_that_is_wanted() {
    let annotations = json!({ "skupper.io/proxy": "tcp", "skupper.io/port": "80:8080,443:8443" });
    let namespace =
        Namespace::with_site().deployment("web", annotations).pod("web-1", "web", "10.0.0.1", true);
    assert!(namespace.plan().connectors.is_empty());
    let site = json!({ "compat": { "skupper": true } });
    let plan = namespace.custom(Kind::Site, "here", site).plan();
    assert_eq!(targets(&plan), ["web:80=10.0.0.1:8080", "web:443=10.0.0.1:8443"]);
}

#[test]
fn a_service_with_nobody_behind_it_stands_for_a_workload_elsewhere() {
    let annotations = json!({ "annotations": { "vand.dev/expose": "tcp" } });
    let spec = json!({ "selector": { "dummy": "selector" }, "ports": [{ "port": 2000 }] });
    let namespace = Namespace::with_site().service("echo", annotations, spec);
    let plan = namespace.plan();
    assert!(plan.connectors.is_empty() && plan.services.is_empty());
    let [listener] = &plan.listeners[..] else { panic!("{:?}", plan.listeners) };
    assert_eq!(listener.address.as_str(), "echo");
    let (name, port) = &plan.slices["echo"].ports[0];
    assert_eq!((name.as_str(), port.port), ("", 2000));
    // Once pods are behind it, it offers them.
    let plan = namespace.endpoints("echo", 2000, &[("echo-1", "10.0.0.1", true)]).plan();
    assert!(plan.listeners.is_empty() && plan.slices.is_empty());
    assert_eq!(targets(&plan), ["echo=10.0.0.1:2000"]);
}

#[test]
fn services_of_the_network_appear_and_those_of_others_are_left_alone() {
    let namespace = Namespace::with_site()
        .offered("backend", 8080)
        .offered("mine", 80)
        .service("mine", json!({}), json!({ "ports": [{ "port": 80 }] }))
        .custom(Kind::Listener, "mine", json!({ "port": 80 }))
        .custom(Kind::Listener, "web", json!({ "port": 80, "address": "backend" }));
    let plan = namespace.plan();
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), ["backend", "web"]);
    assert_eq!(plan.services["web"].owner.key, Key::new(Kind::Listener, "web"));
    assert_eq!(verdict(&plan, Kind::Listener, "mine").0, "ServiceExists");
    let none =
        namespace.custom(Kind::Site, "here", json!({ "services": { "import": ["other-*"] } }));
    assert_eq!(none.plan().services.keys().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn two_listeners_for_one_port_of_a_service() {
    let namespace = Namespace::with_site()
        .custom(Kind::Listener, "a", json!({ "port": 80, "host": "web" }))
        .custom(Kind::Listener, "b", json!({ "port": 80, "host": "web" }))
        .custom(Kind::Listener, "c", json!({ "port": 81, "host": "web" }));
    let plan = namespace.plan();
    assert_eq!(verdict(&plan, Kind::Listener, "b").0, "Conflict");
    assert_eq!(plan.services["web"].ports.len(), 2);
    assert_eq!(plan.services["web"].owner.key.kind, Kind::Site, "it is nobody's alone");
}

#[test]
fn what_is_made_is_left_as_it_is_and_goes_with_its_reason() {
    let namespace = Namespace::with_site().offered("backend", 8080).offered("b", 1);
    let plan = namespace.plan();
    let labels = namespace.context().own_labels;
    let mut namespace = namespace.made(&plan);
    let again = namespace.plan();
    assert_eq!(again.listeners, plan.listeners, "ports stay");
    assert_eq!(due(&again, &namespace.index, &labels, &[]), []);
    namespace.offered.remove(&"backend".parse::<Address>().unwrap());
    let fewer = namespace.plan();
    let gone = Act::Delete { kind: Kind::Service, name: "backend".into() };
    assert_eq!(due(&fewer, &namespace.index, &labels, &[]), [gone]);
}

#[test]
fn a_link_waits_for_its_secret_until_its_peer_is_known() {
    let link = json!({ "tokenSecret": { "name": "s" }, "cost": 5 });
    let mut namespace = Namespace::with_site().custom(Kind::Link, "east", link);
    let key = ("s".to_owned(), "token".to_owned());
    namespace.secrets.insert(key.clone(), Err("there is no Secret s in this namespace".into()));
    let plan = namespace.plan();
    assert!(plan.links.is_empty() && plan.tokens.contains(&key));
    assert_eq!(verdict(&plan, Kind::Link, "east").0, "NoToken");
    namespace.secrets.insert(key.clone(), Ok("van1.x".into()));
    let plan = namespace.plan();
    assert_eq!(plan.links[0].token, van_model::TokenSpec::Text("van1.x".into()));
    assert_eq!(plan.links[0].cost.unwrap().get(), 5);
    namespace.secrets.insert(key, Err("it was deleted".into()));
    namespace.linked.insert("east".into());
    assert_eq!(namespace.plan().links.len(), 1, "it needs no token any more");
}

#[test]
fn ways_to_the_site_are_made_and_told() {
    let access = json!({ "access": [
        { "type": "LoadBalancer" },
        { "type": "Ingress", "host": "van.example.com", "class": "nginx" },
        { "type": "Manual", "endpoints": ["192.0.2.1:8263"] },
    ] });
    let balancer = json!({ "ports": [{ "port": 8263 }], "type": "LoadBalancer" });
    let mut namespace = Namespace::default().custom(Kind::Site, "here", access).service(
        "vand-loadbalancer",
        json!({ "labels": { "vand.dev/role": "access" } }),
        balancer,
    );
    let told = |plan: &Plan| plan.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(&namespace.plan()), ["van.example.com:443", "192.0.2.1:8263"]);
    let names: Vec<_> = namespace.plan().made.into_iter().map(|made| made.name).collect();
    assert_eq!(names, ["vand", "vand-loadbalancer", "vand-ingress"]);
    let object = json!({
        "metadata": { "name": "vand-loadbalancer" },
        "status": { "loadBalancer": { "ingress": [{ "ip": "198.51.100.7" }] } },
    });
    namespace.index.set(Kind::Service, Any::Service(read::<wire::Service>(object).into()));
    assert_eq!(told(&namespace.plan())[0], "198.51.100.7:8263");
    let plan = Namespace::with_site().plan();
    assert_eq!(told(&plan), ["vand.ns.svc:8263"], "within the cluster it is always reached");
}

#[test]
fn a_way_that_is_not_wanted_any_more_goes_also_after_a_restart() {
    let labels = json!({ "labels": { "vand.dev/role": "access" } });
    let namespace = Namespace::with_site()
        .service("vand", labels.clone(), json!({ "ports": [{ "port": 8263 }] }))
        .service("vand-nodeport", labels, json!({ "ports": [{ "port": 8263 }] }));
    let acts = due(&namespace.plan(), &namespace.index, &namespace.context().own_labels, &[]);
    assert_eq!(acts, [Act::Delete { kind: Kind::Service, name: "vand-nodeport".into() }]);
}

#[test]
fn many_pods_are_planned_at_once() {
    let mut namespace = Namespace::with_site();
    for n in 0..5000_u32 {
        let ip = Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
        namespace = namespace.pod(&format!("p-{n}"), &format!("app-{}", n % 500), &ip, true);
    }
    for n in 0..500 {
        let spec = json!({ "selector": { "app": format!("app-{n}") }, "port": 80 });
        namespace = namespace.custom(Kind::Connector, &format!("c-{n}"), spec);
    }
    assert_eq!(namespace.plan().connectors.len(), 5000);
}

#[test]
fn a_workload_of_another_namespace_is_offered_where_both_sides_agree() {
    let there = |site: &str| {
        let spec = json!({ "siteNamespace": site, "selector": { "app": "db" }, "port": 5432 });
        Namespace::default()
            .custom(Kind::AttachedConnector, "db", spec)
            .pod("db-0", "db", "10.0.9.1", true)
    };
    let binding = json!({ "connectorNamespace": "data", "address": "database" });
    let asked = |neighbour: Option<Neighbour>| {
        let mut world =
            Namespace::with_site().custom(Kind::AttachedConnectorBinding, "db", binding.clone());
        world.neighbours.extend(neighbour.map(|known| ("data".to_owned(), known)));
        world.plan()
    };
    let known = |world: Namespace| Neighbour { index: world.index.into(), trouble: None };
    let verdict =
        |plan: &Plan| plan.verdicts[&Key::new(Kind::AttachedConnectorBinding, "db")].clone();

    let plan = asked(None);
    assert!(plan.neighbours.contains("data") && plan.connectors.is_empty());
    assert!(matches!(verdict(&plan), Verdict::Waiting("NotVisible", _)));

    let refused = Neighbour { trouble: Some("forbidden".into()), ..known(there("ns")) };
    let plan = asked(Some(refused));
    assert!(
        matches!(verdict(&plan), Verdict::Waiting("NotVisible", why) if why.contains("forbidden"))
    );

    for (world, said) in [(Namespace::default(), "has no"), (there("other"), "namespace other")] {
        let plan = asked(Some(known(world)));
        assert!(
            matches!(verdict(&plan), Verdict::Waiting("NotConsented", why) if why.contains(said)),
            "{said}"
        );
    }

    let plan = asked(Some(known(there("ns"))));
    assert_eq!(verdict(&plan), Verdict::Accepted);
    let [connector] = &plan.connectors[..] else { panic!("{:?}", plan.connectors) };
    assert_eq!(connector.address.as_str(), "database");
    assert_eq!(connector.target.to_string(), "10.0.9.1:5432");
}

#[test]
fn a_labelled_secret_makes_a_link_by_itself() {
    let mut namespace =
        Namespace::with_site().custom(Kind::AccessToken, "taken", json!({ "token": "van1.x" }));
    namespace.link_secrets = BTreeMap::from([
        ("up".into(), Ok("van1.y".into())),
        ("empty".into(), Err("it has no key".into())),
        ("taken".into(), Ok("van1.z".into())),
    ]);
    let plan = namespace.plan();
    let names: Vec<&str> = plan.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["taken", "up"]);
    let verdict = |name: &str| plan.verdicts[&Key::new(Kind::Secret, name)].clone();
    assert_eq!(verdict("up"), Verdict::Accepted);
    assert!(matches!(verdict("empty"), Verdict::Refused("NoToken", _)));
    assert!(matches!(verdict("taken"), Verdict::Refused("Conflict", _)));
}
