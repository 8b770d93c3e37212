//! The network, its flows, the way of a flow and what is wrong, as the client tells them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;
use van_testkit::{DEADLINE, Echo, Sites, Vand, echoes, free_port, wait_until};

/// The sites `a` and `b` at the hub `public`, with `echo` at `b` for clients of `a`.
struct Line {
    sites: Sites,
    a: Vand,
    b: Vand,
    port: u16,
    _echo: Echo,
}

fn line() -> Line {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    b.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    a.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    Line { sites, a, b, port, _echo: echo }
}

/// What every site should tell the same of each: all but how it looks from there.
fn network(vand: &Vand) -> Vec<Value> {
    let mut document = vand.ctl("network status -o json").json();
    let items = document["items"].as_array_mut().unwrap();
    for site in items.iter_mut() {
        for own in ["this_site", "cost", "hops", "via"] {
            site.as_object_mut().unwrap().remove(own);
        }
    }
    std::mem::take(items)
}

#[test]
fn every_site_tells_the_same_network() {
    let line = line();
    let Line { sites, a, b, .. } = &line;
    wait_until(DEADLINE, "all sites told the same", || {
        let told = network(a);
        told.len() == 3 && told == network(b) && told == network(&sites.public)
    });
    let told = network(a);
    let public = told.iter().find(|site| site["name"] == "public").unwrap();
    let peers: Vec<_> = public["links"].as_array().unwrap().iter().collect();
    assert_eq!(peers.iter().map(|l| &l["peer"]["name"]).collect::<Vec<_>>(), ["a", "b"]);
    assert!(peers.iter().all(|l| l["cost"] == 1 && l["peer_cost"] == 1), "{peers:?}");
    let far = told.iter().find(|site| site["name"] == "b").unwrap();
    assert_eq!(
        (&far["services"][0]["address"], &far["services"][0]["targets"]),
        (&"echo".into(), &1.into())
    );

    let table = a.ctl("network status").ok();
    let row = table.lines().find(|line| line.starts_with("b ")).unwrap();
    let cells: Vec<_> = row.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect();
    assert_eq!(&cells[4..], ["public (1)", "2", "echo"], "{table}");
    let graph = a.ctl("network status --dot").ok();
    assert_eq!(graph.matches(" -- ").count(), 2, "{graph}");
    let services = a.ctl("service status echo -o json").json();
    assert_eq!(services["status"]["targets"]["b"], 1);
    assert_eq!(services["status"]["via"]["b"][0], "public");
    assert_eq!(a.ctl("link status link1 -o json").json()["status"]["peer_cost"], 1);
}

#[test]
fn echoes_and_traces_go_through_the_hub() {
    let mut line = line();
    let ping = line.a.ctl("ping b -c 2 -i 10ms --hops").ok();
    assert!(ping.contains("hop 1 public") && ping.contains("hop 2 b"), "{ping}");
    assert!(ping.contains("2 sent, 2 answered; min/avg/max"), "{ping}");
    let document = line.a.ctl("ping b -c 1 --hops -o json").json();
    let hops = document["replies"][0]["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2);
    assert!(hops.iter().all(|hop| hop["rtt_ms"].as_f64().unwrap() > 0.0), "{hops:?}");
    let unknown = line.a.ctl("ping pulbic").fails(4);
    assert!(unknown.contains("hint: did you mean \"public\"?"), "{unknown}");

    let trace = line.a.ctl("trace echo -o json").json();
    let way: Vec<_> = trace["path"].as_array().unwrap().iter().map(|hop| &hop["site"]).collect();
    assert_eq!(way, ["a", "public", "b"]);
    assert_eq!(
        (&trace["path"][1]["link"], &trace["path"][2]["cost"]),
        (&"link1".into(), &1.into())
    );
    assert_eq!(
        (&trace["chosen"]["name"], &trace["candidates"][0]["cost"]),
        (&"b".into(), &2.into())
    );
    let text = line.a.ctl("trace echo --listener echo").ok();
    assert!(text.starts_with("echo (listener echo, balanced): a - public - b\n"), "{text}");
    assert!(text.contains("why: b is the only site with a target\n"), "{text}");
    let nobody = line.a.ctl("trace ehco").fails(4);
    assert!(nobody.contains("hint: did you mean \"echo\"?"), "{nobody}");

    line.sites.public.kill();
    wait_until(DEADLINE, "b could not be reached", || line.a.ctl("ping b -c 1").status == 1);
    let why = line.a.ctl("ping b -c 1").fails(1);
    assert!(why.starts_with("vanctl: ping failed: there is no way to site b now\n"), "{why}");
    line.a.ctl("trace echo").fails(4);
}

/// The flows of `echo` that a site tells, as (state, site at the other end).
fn flows(vand: &Vand) -> Vec<(String, String)> {
    let document = vand.ctl("flows --address echo -o json").json();
    let told = |flow: &Value| {
        let end = flow["end"].as_str().unwrap_or("open");
        (end.to_owned(), flow["peer_name"].as_str().unwrap_or_default().to_owned())
    };
    document["items"].as_array().unwrap().iter().map(told).collect()
}

#[test]
fn a_flow_is_seen_at_both_ends_and_so_is_its_end() {
    let mut line = line();
    let mut stream = TcpStream::connect(("127.0.0.1", line.port)).unwrap();
    let mut answer = [0; 4];
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut answer).unwrap();
    let told = |vand: &Vand, state: &str, site: &str| {
        flows(vand).contains(&(state.to_owned(), site.to_owned()))
    };
    assert!(told(&line.a, "open", "b"), "{:?}", flows(&line.a));
    assert!(told(&line.b, "open", "a"), "{:?}", flows(&line.b));
    let table = line.a.ctl("flows --site b").ok();
    assert!(table.starts_with("ADDRESS  CLIENT "), "{table}");
    assert!(table.lines().any(|row| row.starts_with("echo ") && row.contains("  open ")));
    line.a.ctl("flows --site nowhere").fails(4);

    line.sites.public.kill();
    wait_until(DEADLINE, "the flow had ended at both ends", || {
        told(&line.a, "link_lost", "b") && told(&line.b, "link_lost", "a")
    });
    assert!(line.a.ctl("flows").ok().contains("  link lost  "));
}

#[test]
fn a_check_passes_where_all_is_well_and_fails_where_a_target_refuses() {
    let line = line();
    let well = line.b.ctl("check").ok();
    for what in ["config", "state", "identity/leaf", "link/link1", "clock/public", "connector/"] {
        assert!(well.lines().any(|l| l.starts_with(&format!("passed   {what}"))), "{what}: {well}");
    }
    assert!(line.sites.public.ctl("check").ok().contains("passed   advertise/127.0.0.1:"));
    let dead = free_port();
    line.b.ctl(&format!("connector create dead 127.0.0.1:{dead} --wait 0")).ok();
    wait_until(DEADLINE, "the check failed", || line.b.ctl("check").status == 1);
    let failed = line.b.ctl("check -q");
    assert!(failed.stdout.contains(&format!("failed   connector/dead: target 127.0.0.1:{dead}: ")));
    assert!(failed.fails(1).starts_with("vanctl: check failed: 1 of "));

    std::fs::write(line.a.dir().join("vand.toml"), "[site]\nnaem = \"a\"\n").unwrap();
    let failed = line.a.ctl("check");
    assert!(failed.stdout.contains("failed   config: "), "{}", failed.stdout);
    let _said = failed.fails(1);
}
