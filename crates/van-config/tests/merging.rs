//! Defaults, files and environment become one configuration, and each value knows its origin.

use std::path::Path;

use proptest::prelude::*;
use van_config::{File, Input, Loaded, Origin, load};
use van_model::{ByteSize, Config, Mode, SiteSpec, TokenSpec};

fn input(files: &[(&str, &str)], env: &[(&str, &str)]) -> Input {
    let file = |(path, text): &(&str, &str)| File { path: (*path).into(), bytes: (*text).into() };
    Input {
        files: files.iter().map(file).collect(),
        env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        host_name: "Box_1.example.com".into(),
    }
}

fn good(files: &[(&str, &str)], env: &[(&str, &str)]) -> Loaded {
    load(&input(files, env)).map_err(|mistakes| mistakes.to_string()).expect("no mistakes")
}

#[test]
fn nothing_said_gives_the_defaults() {
    let loaded = good(&[], &[("VAND_CONFIG", "/x"), ("VANCTL_URL", "x"), ("A__B", "x")]);
    let site = SiteSpec {
        name: "box-1-example-com".parse().unwrap(),
        mode: Mode::Interior,
        labels: std::collections::BTreeMap::new(),
    };
    assert_eq!(loaded.config, Config::new(site));
    assert_eq!(loaded.origins.iter().count(), 0);
    let nameless = Input { host_name: "...".into(), ..Input::default() };
    assert_eq!(load(&nameless).unwrap().config.site.name.as_str(), "site");
}

const FULL: &str = r#"
[site]
name = "db-host"
mode = "interior"
labels = { region = "eu", "example.com/rack" = "r1" }

[accept]
listen = ["[::]:8263", "127.0.0.1:0"]
advertise = ["van.example.com:8263"]

[[link]]
name = "to-public"
token = "tokens/public.token"
cost = 7
proxy = "http://u:s3cret@proxy:3128"

[[connector]]
name = "postgres"
target = "127.0.0.1:5432"
service_port = 5432
check = "http:/healthz"
check_interval = "500ms"
check_failures = 3
proxy_protocol = true
priority = 1
weight = 3

[[listener]]
name = "backend"
addresses = ["shop.backend=90", "shop.canary=10"]
strategy = "weighted"
protocol = "tcp"
bind = "unix:/run/x.sock"

[services]
import = ["db-*"]

[identity]
ca = "/pki/ca.crt"
key = "ca.key"
bundle = "bundle.crt"

[api]
socket = "/run/vand/vand.sock"
group = "net-admins"

[log]
level = "info,van_mux=debug"

[limits]
flows = 1_000
flow_window_max = "1MiB"
"#;

#[test]
fn everything_said() {
    let config = good(&[("/etc/vand/vand.toml", FULL)], &[]).config;
    assert_eq!(config.site.labels["example.com/rack"], "r1");
    assert_eq!(config.accept.unwrap().listen.len(), 2);
    let link = &config.links[0];
    assert_eq!(link.token, TokenSpec::File("/etc/vand/tokens/public.token".into()));
    assert_eq!(link.cost.map(u16::from), Some(7));
    let connector = &config.connectors[0];
    assert_eq!(connector.address.as_str(), "postgres");
    assert_eq!(connector.check.to_string(), "http:/healthz");
    assert!(connector.proxy_protocol && connector.priority == 1 && connector.weight.get() == 3);
    assert_eq!(connector.timing.interval_ms, 500);
    assert_eq!((connector.timing.idle_ms, connector.timing.failures), (10_000, 3));
    let listener = &config.listeners[0];
    assert_eq!(
        (listener.address.as_str(), listener.strategy.as_str()),
        ("shop.backend", "weighted")
    );
    assert_eq!(listener.choices()[1].to_string(), "shop.canary=10");
    assert_eq!(config.services.import, ["db-*"]);
    let identity = config.identity.unwrap();
    assert_eq!(identity.ca, Path::new("/pki/ca.crt"));
    assert_eq!(identity.key, Path::new("/etc/vand/ca.key"));
    assert_eq!(config.api.socket.unwrap(), Path::new("/run/vand/vand.sock"));
    assert_eq!(config.limits.flow_window_max, ByteSize::bytes(1 << 20));
}

#[test]
fn containers_and_pods_are_targets() {
    let text = "[podman]\nexpose_labels = true\nsockets = [\"/run/p.sock\"]\nusers = [\"alice\"]\n\
                [[connector]]\nname = \"pg\"\ncontainer = \"db_1\"\nport = 5432\n\
                [[connector]]\nname = \"shop\"\npod = \"shop\"\nport = 80\n\
                [[connector]]\nname = \"web\"\ntarget = \"container/web:8080\"\n";
    let loaded = good(&[("vand.toml", text)], &[]);
    let targets: Vec<_> = loaded.config.connectors.iter().map(|c| c.target.to_string()).collect();
    assert_eq!(targets, ["container/db_1:5432", "pod/shop:80", "container/web:8080"]);
    let podman = loaded.config.podman;
    assert!(podman.expose_labels && podman.sockets == [Path::new("/run/p.sock")]);
    assert_eq!(podman.users, ["alice"]);
}

#[test]
fn line_ends_and_byte_order_mark_change_nothing() {
    let plain = good(&[("vand.toml", FULL)], &[]);
    let windows = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
    assert_eq!(good(&[("vand.toml", &windows)], &[]), plain);
}

#[test]
fn later_files_replace_values_and_append_entries() {
    let link = |name| format!("[[link]]\nname = \"{name}\"\ntoken = \"{name}.token\"\n");
    let loaded = good(
        &[
            ("/e/vand.toml", &format!("[log]\nlevel = \"warn\"\n{}", link("z"))),
            (
                "/e/conf.d/1.toml",
                &format!("site.labels.a = \"1\"\n{}[accept]\nlisten = [\"[::]:1\"]\n", link("m")),
            ),
            (
                "/e/conf.d/2.toml",
                &format!(
                    "[site]\nlabels.b = \"2\"\n{}[log]\nlevel = \"debug\"\n[accept]\nlisten = [\"[::]:2\"]\n",
                    link("a")
                ),
            ),
        ],
        &[],
    );
    let names: Vec<_> = loaded.config.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["z", "m", "a"]);
    assert_eq!(loaded.config.links[1].token, TokenSpec::File("/e/conf.d/m.token".into()));
    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(loaded.config.accept.unwrap().listen, ["[::]:2".parse().unwrap()]);
    assert_eq!(loaded.config.site.labels.len(), 2);
    assert_eq!(loaded.origins.get("log.level").to_string(), "/e/conf.d/2.toml:7");
    assert_eq!(loaded.origins.get("link.z.token").to_string(), "/e/vand.toml:5");
    assert_eq!(loaded.origins.get("site.labels.a").to_string(), "/e/conf.d/1.toml:1");
    assert_eq!(loaded.origins.get("link.m.name").file(), Some("/e/conf.d/1.toml"));
    assert_eq!(loaded.origins.get("api.group"), &Origin::Default);
}

#[test]
fn a_section_may_be_spread_over_files() {
    let loaded = good(
        &[
            ("/e/vand.toml", "[identity]\nca = \"/ca\"\n[accept]\nadvertise = [\"a:1\"]\n"),
            ("/e/conf.d/a.toml", "[identity]\nkey = \"/key\"\nbundle = \"/bundle\"\n"),
        ],
        &[("VAND_ACCEPT__LISTEN", "[\"[::]:8263\"]")],
    );
    assert!(loaded.config.identity.is_some());
    assert_eq!(loaded.config.accept.unwrap().advertise.len(), 1);
}

#[test]
fn the_environment_is_over_the_files() {
    let loaded = good(
        &[("vand.toml", FULL)],
        &[
            ("VAND_SITE__NAME", "x"),
            ("VAND_SITE__LABELS", "{ region = \"us\" }"),
            ("VAND_LIMITS__FLOWS", "5"),
            ("VAND_LIMITS__FLOW_WINDOW_MAX", "65536"),
            ("VAND_LOG__LEVEL", "trace"),
            ("VAND_SERVICES__IMPORT", "[]"),
        ],
    );
    assert_eq!(loaded.config.site.name.as_str(), "x");
    assert_eq!(loaded.config.site.labels["region"], "us");
    assert_eq!(loaded.config.site.labels["example.com/rack"], "r1");
    assert_eq!(loaded.config.limits.flows, 5);
    assert_eq!(loaded.config.limits.flow_window_max, ByteSize::bytes(65536));
    assert_eq!(loaded.origins.get("log.level").to_string(), "VAND_LOG__LEVEL");
    assert_eq!(loaded.origins.get("site.labels.region").to_string(), "VAND_SITE__LABELS");
    assert_eq!(loaded.origins.get("site.labels.example.com/rack").to_string(), "vand.toml:5");
}

#[test]
fn shown_values_have_origins_and_no_secrets() {
    let loaded = good(&[("/e/vand.toml", FULL)], &[("VAND_LIMITS__FLOWS", "5")]);
    let shown: Vec<String> = loaded
        .values()
        .iter()
        .map(|value| format!("{} = {} ({})", value.key, value.value, value.origin))
        .collect();
    for expected in [
        "accept.listen = [\"[::]:8263\",\"127.0.0.1:0\"] (/e/vand.toml:8)",
        "connector.postgres.address = \"postgres\" (default)",
        "connector.postgres.target = \"127.0.0.1:5432\" (/e/vand.toml:19)",
        "connector.postgres.check_interval = \"500ms\" (/e/vand.toml:22)",
        "connector.postgres.check_idle = \"10s\" (default)",
        "limits.flow_window_max = \"1MiB\" (/e/vand.toml:52)",
        "limits.flows = 5 (VAND_LIMITS__FLOWS)",
        "link.to-public.proxy = \"http://u:***@proxy:3128\" (/e/vand.toml:15)",
        "link.to-public.token = \"/e/tokens/public.token\" (/e/vand.toml:13)",
        "site.name = \"db-host\" (/e/vand.toml:3)",
    ] {
        assert!(shown.iter().any(|line| line == expected), "{expected}\n{shown:#?}");
    }
    assert!(shown.iter().all(|line| !line.contains("s3cret")));
    assert!(shown.is_sorted());
}

/// Any pieces of the language in any order, and any bytes: never a panic, and a refusal says where.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "[site]",
        "[[link]]",
        "[link]",
        "[[",
        "]",
        "{",
        "}",
        "name",
        "=",
        ".",
        "\"x\"",
        "'",
        "\"",
        "\n",
        "\r\n",
        " ",
        ",",
        "1",
        "-",
        "true",
        "token",
        "#",
        "\"\"\"",
        "1979-05-27",
        "é",
        "\0",
        "labels",
        "[accept]",
        "listen",
        "bind",
        "[[listener]]",
        "flows",
        "1e9",
        "0x",
        "\\u00",
    ]);
    prop_oneof![
        prop::collection::vec(word, 0..60).prop_map(|words| words.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(first in texts(), second in texts(), value in ".{0,40}") {
        let file = |path: &str, bytes| File { path: path.into(), bytes };
        let loaded = load(&Input {
            files: vec![file("vand.toml", first), file("conf.d/a.toml", second)],
            env: vec![("VAND_SITE__LABELS".into(), value)],
            host_name: String::new(),
        });
        match loaded {
            Ok(loaded) => prop_assert!(!loaded.values().is_empty()),
            Err(mistakes) => {
                prop_assert!(mistakes.count() > 0);
                for line in mistakes.to_string().lines() {
                    prop_assert!(
                        line.starts_with("vand.toml:") || line.starts_with("conf.d/a.toml:")
                            || line.starts_with("environment VAND_SITE__LABELS: "),
                        "{line:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn routes_are_read_in_their_short_and_long_forms() {
    let text = r#"
[[listener]]
name = "web"
protocol = "http"
bind = "127.0.0.1:8080"
routes = [
  { host = "Shop.example.org", path = "/api", method = "GET", headers = { X-Canary = "1" }, to = "api" },
  { to = [{ address = "api", weight = 90 }, { address = "api-next", weight = 10 }, "old=0"], timeout = "30s" },
  { path_exact = "/old", query = { V = "1" }, to = ["shop"], rewrite_path = "/new", rewrite_host = "new.local",
    set_headers = { X-A = "b" }, remove_headers = ["X-B"] },
]
[[listener]]
name = "both"
address = "shop"
protocol = "http"
bind = "127.0.0.1:8081"
routes = [{ path = "/api", to = "api" }]
"#;
    let loaded = good(&[("vand.toml", text)], &[]);
    let [web, both] = &loaded.config.listeners[..] else { panic!("two listeners") };
    assert!(web.only_routes && web.choices().is_empty());
    assert!(!both.only_routes && both.choices()[0].address.as_str() == "shop");
    let all: Vec<_> = web.all_addresses().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["api", "api-next", "shop"]);
    let json = serde_json::to_value(&web.routes).unwrap();
    let expected = serde_json::json!([
        {"host": "shop.example.org", "path": "/api", "method": "GET", "headers": {"x-canary": "1"},
         "to": ["api"]},
        {"to": ["api=90", "api-next=10", "old=0"], "timeout_ms": 30000},
        {"path_exact": "/old", "query": {"V": "1"}, "to": ["shop"], "rewrite_path": "/new",
         "rewrite_host": "new.local", "set_headers": {"x-a": "b"}, "remove_headers": ["x-b"]},
    ]);
    assert_eq!(json, expected);
    assert!(loaded.values().iter().all(|value| &*value.key != "listener.web.address"));
    assert!(loaded.values().iter().any(|value| &*value.key == "listener.both.address"));
}
