//! Requests go by what they ask for: routes of a listener, through real sites.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use van_testkit::{DEADLINE, Ran, Sites, Vand, free_port, wait_until};

use crate::Client;
use crate::target::{Target, answer};

/// Services at one site, and a listener with routes at another.
struct Shop {
    sites: Sites,
    web: Vand,
    port: u16,
}

impl Shop {
    /// Offers these targets, each under its name, and listens with the given lines of configuration.
    #[track_caller]
    fn start(targets: &[(&str, &Target)], lines: &str) -> Self {
        let sites = Sites::start("");
        for (name, target) in targets {
            let line = format!("connector create {name} 127.0.0.1:{} --protocol http", target.port);
            sites.public.ctl(&line).ok();
        }
        let port = free_port();
        let web = sites.linked("web", &listener(port, lines));
        let shop = Self { sites, web, port };
        shop.wait_for(targets.len());
        shop
    }

    /// Waits until so many targets are known to the listener.
    #[track_caller]
    fn wait_for(&self, targets: usize) {
        wait_until(DEADLINE, "the targets were known", || {
            let listener = self.web.get("/v1/listeners/web");
            listener.is_some_and(|(_, listener)| listener["status"]["targets"] == targets)
        });
        wait_until(DEADLINE, "the listener accepted", || {
            self.status()["status"]["accepting"] == true || targets == 0
        });
    }

    fn status(&self) -> Value {
        self.web.get("/v1/listeners/web").unwrap().1
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }

    #[track_caller]
    fn reload(&mut self, lines: &str) {
        let toml = format!("[site]\nname = \"web\"\n{}", listener(self.port, lines));
        self.web.reload(&toml);
    }
}

fn listener(port: u16, lines: &str) -> String {
    format!(
        "[[listener]]\nname = \"web\"\nprotocol = \"http\"\nbind = \"127.0.0.1:{port}\"\n{lines}\n"
    )
}

#[track_caller]
fn ask(client: &mut Client, line: &str, fields: &str) -> (u16, String) {
    let said = client.ask(format!("{line} HTTP/1.1\r\n{fields}\r\n\r\n"));
    (said.status, said.body.trim_end().to_owned())
}

#[test]
fn each_kind_of_match_and_the_more_specific_wins() {
    let names = ["any", "api", "v2", "exact", "put", "canary", "beta", "shop", "all"];
    let targets = names.map(|name| (name, Target::saying(name)));
    let offered: Vec<_> = targets.iter().map(|(name, target)| (*name, target)).collect();
    let shop = Shop::start(
        &offered,
        r#"routes = [
          { to = "any" },
          { path = "/api", to = "api" },
          { path = "/api/v2/", to = "v2" },
          { path_exact = "/api/v2/exact", to = "exact" },
          { path = "/api", method = "PUT", to = "put" },
          { path = "/api", headers = { X-Canary = "1" }, to = ["canary"] },
          { path = "/api", query = { beta = "yes" }, to = [{ address = "beta", weight = 3 }] },
          { host = "shop.example.org", to = "shop" },
          { host = "*.example.org", to = "all" },
        ]"#,
    );
    let mut client = shop.client();
    let mut expect = |line: &str, fields: &str, name: &str| {
        assert_eq!(ask(&mut client, line, fields), (200, name.into()), "{line} {fields}");
    };
    expect("GET /", "Host: web", "any");
    expect("GET /apis", "Host: web", "any");
    expect("GET /api", "Host: web", "api");
    expect("GET /api/x?y", "Host: web", "api");
    expect("GET http://web/api", "Host: web", "api");
    expect("GET /api/v2", "Host: web", "v2");
    expect("GET /api/v2/exact", "Host: web", "exact");
    expect("GET /api/v2/exact/", "Host: web", "v2");
    expect("PUT /api", "Host: web\r\nContent-Length: 0", "put");
    expect("PUT /api/v2", "Host: web\r\nContent-Length: 0", "v2");
    expect("GET /api", "Host: web\r\nx-canary: 1", "canary");
    expect("GET /api", "Host: web\r\nx-canary: 10", "api");
    expect("GET /api?a=b&beta=yes", "Host: web", "beta");
    expect("GET /api", "Host: Shop.Example.ORG:8080", "shop");
    expect("GET /api/v2/exact", "Host: x.y.example.org", "all");
    expect("GET http://shop.example.org/api", "Host: shop.example.org", "shop");
    expect("GET /", "Host: example.org", "any");
    // A client of HTTP/2 names the host in another way.
    let mut command = Command::new("curl");
    let url = format!("http://127.0.0.1:{}/api", shop.port);
    command.args(["-sS", "--http2-prior-knowledge", "-H", "Host: a.example.org", &url]);
    assert_eq!(Ran::of(command, b"").ok(), "all");
    let spec = &shop.status()["spec"];
    assert_eq!(spec["routes"].as_array().unwrap().len(), 9);
    assert_eq!(spec.get("address"), None, "{spec}");
    let shown = shop.web.ctl("listener status").ok();
    assert!(shown.contains("any,api,v2,exact,put,canary,beta,shop,all"), "{shown}");
    let flows = shop.web.ctl("flows -o json").ok();
    let flows: Value = serde_json::from_str(&flows).unwrap();
    let taken: Vec<_> = flows["items"].as_array().unwrap().iter().map(|f| &f["address"]).collect();
    assert!(taken.iter().any(|address| **address == "any"), "{taken:?}");
}

#[test]
fn shares_hold_and_change_while_requests_run() {
    let (old, new) = (Target::saying("old"), Target::saying("new"));
    let shares =
        |old: u16, new: u16| format!("routes = [{{ to = [\"old={old}\", \"new={new}\"] }}]");
    let mut shop = Shop::start(&[("old", &old), ("new", &new)], &shares(90, 10));
    let mut client = shop.client();
    for _ in 0..2000 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!((190..=210).contains(&new.requests()), "{} of 2,000", new.requests());
    assert_eq!(old.requests() + new.requests(), 2000);

    let stop = Arc::new(AtomicBool::new(false));
    let port = shop.port;
    let busy = |kept: bool| {
        let (stop, count) = (stop.clone(), Arc::<AtomicUsize>::default());
        let counted = count.clone();
        let asking = thread::spawn(move || {
            let mut client = Client::connect(port);
            while !stop.load(Ordering::SeqCst) {
                if !kept {
                    client = Client::connect(port);
                }
                assert_eq!(client.get("/").status, 200);
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        (asking, count)
    };
    let ((kept, asked), (fresh, connected)) = (busy(true), busy(false));
    for (before, after) in [((50, 50), (0, 1)), ((30, 70), (1, 0))] {
        shop.reload(&shares(before.0, before.1));
        shop.web.ctl("reload").ok();
        shop.reload(&shares(after.0, after.1));
        shop.web.ctl("reload").ok();
        let word = if after.0 == 0 { "new" } else { "old" };
        let mut client = shop.client();
        wait_until(DEADLINE, "the new shares were in force", || {
            (0..50).all(|_| client.get("/").body == word)
        });
    }
    // The client that asked before all changes is connected still.
    assert_eq!(client.get("/").body, "old");
    wait_until(DEADLINE, "there was load enough", || {
        asked.load(Ordering::SeqCst) > 100 && connected.load(Ordering::SeqCst) > 10
    });
    stop.store(true, Ordering::SeqCst);
    kept.join().unwrap();
    fresh.join().unwrap();
}

#[test]
fn without_a_route_404_without_a_target_503_too_late_504() {
    let (quick, slow) = (
        Target::saying("quick"),
        Target::start(|_, stream| {
            thread::sleep(Duration::from_secs(3));
            answer(stream, "late")
        }),
    );
    let shop = Shop::start(
        &[("quick", &quick), ("slow", &slow)],
        r#"routes = [
          { path = "/quick", to = "quick" },
          { path = "/slow", to = "slow", timeout = "300ms" },
          { path = "/none", to = "none" },
          { path = "/some", to = ["none=99", "quick=1", "slow=0"] },
        ]"#,
    );
    let mut client = shop.client();
    let (status, text) = ask(&mut client, "GET /else", "Host: web");
    assert_eq!((status, text.as_str()), (404, "no route leads from here to what is asked for"));
    assert_eq!(ask(&mut client, "GET /none", "Host: web").0, 503);
    for _ in 0..20 {
        let said = ask(&mut client, "GET /some", "Host: web");
        assert_eq!(said, (200, "quick".into()), "what has no target is left out");
    }
    let start = Instant::now();
    assert_eq!(ask(&mut client, "GET /slow", "Host: web").0, 504);
    let took = start.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(2)).contains(&took), "{took:?}");
    assert_eq!(ask(&mut client, "GET /quick", "Host: web"), (200, "quick".into()));
    for (path, code) in [("/else", "12"), ("/none", "14"), ("/slow", "4")] {
        let said = client.ask(format!(
            "POST {path} HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\n\
             Content-Length: 0\r\n\r\n"
        ));
        assert_eq!(said.field("grpc-status").as_deref(), Some(code), "{path}");
    }
    let metered = &shop.web.get("/v1/services/slow").unwrap().1["status"]["requests"];
    assert_eq!(metered["answered"]["GET"]["5xx"], 1, "{metered}");
    // An address of its own is where the rest goes.
    shop.web.ctl("listener set web --address quick").fails(1);
    let port = free_port();
    let line = format!(
        "listener create two 127.0.0.1:{port} --protocol http --address quick --route path=/none,to=none"
    );
    shop.web.ctl(&line).ok();
    let mut client = Client::connect(port);
    assert_eq!(ask(&mut client, "GET /else", "Host: web"), (200, "quick".into()));
    assert_eq!(ask(&mut client, "GET /none", "Host: web").0, 503);
    shop.web.ctl("listener set two --route path=/none,to=quick --route path=/q,to=none").ok();
    assert_eq!(ask(&mut client, "GET /none", "Host: web"), (200, "quick".into()));
    assert_eq!(ask(&mut client, "GET /q", "Host: web").0, 503);
    shop.web.ctl("listener set two --no-routes").ok();
    assert_eq!(ask(&mut client, "GET /q", "Host: web"), (200, "quick".into()));
}

#[test]
fn hosts_paths_and_fields_are_rewritten() {
    let echo = Target::echo();
    let shop = Shop::start(
        &[("echo", &echo)],
        r#"routes = [{
            path = "/v1", to = "echo", rewrite_path = "/internal/one", rewrite_host = "one.local",
            set_headers = { X-Via = "vand", X-Both = "new" }, remove_headers = ["X-Debug"],
        }]"#,
    );
    let mut client = shop.client();
    let fields = "Host: api.example.org\r\nX-Debug: 1\r\nX-Both: old\r\nX-Both: older";
    let (_, said) = ask(&mut client, "GET /v1/items?id=7", fields);
    assert!(said.starts_with("GET /internal/one/items?id=7 HTTP/1.1\r\n"), "{said}");
    let lower = format!("{}\r\n", said.to_lowercase());
    for line in ["host: one.local\r\n", "x-via: vand\r\n", "x-both: new\r\n"] {
        assert!(lower.contains(line), "{line} in {said}");
    }
    assert!(lower.contains("x-forwarded-host: api.example.org\r\n"), "{said}");
    assert!(!lower.contains("x-debug") && !lower.contains("x-both: old"), "{said}");
}

#[test]
fn a_targets_loss_is_seen_by_route_and_by_listener() {
    let (one, two) = (Target::saying("one"), Target::saying("two"));
    let shop = Shop::start(
        &[("one", &one), ("two", &two)],
        "routes = [{ path = \"/one\", to = \"one\" }, { path = \"/two\", to = \"two\" }]",
    );
    let mut client = shop.client();
    assert_eq!(ask(&mut client, "GET /one", "Host: web"), (200, "one".into()));
    shop.sites.public.ctl("connector delete one").ok();
    wait_until(DEADLINE, "the route had no target", || {
        ask(&mut client, "GET /one", "Host: web").0 == 503
    });
    assert_eq!(ask(&mut client, "GET /two", "Host: web"), (200, "two".into()));
    shop.sites.public.ctl("connector delete two").ok();
    wait_until(DEADLINE, "the listener said so", || {
        shop.status()["status"]["conditions"][0]["reason"] == "NoTarget"
    });
    let ready = shop.status()["status"]["conditions"][0]["message"].to_string();
    assert!(ready.contains("one, two"), "{ready}");
    let line = format!("connector create one 127.0.0.1:{} --protocol http", one.port);
    shop.sites.public.ctl(&line).ok();
    shop.wait_for(1);
}
