//! What an operator has at night: metrics, probes, a report without secrets, and explanations.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

use van_testkit::{
    DEADLINE, Echo, Sites, Vand, echo_lines, echoes, free_port, temp_dir, wait_until,
};

/// Asks over a fresh connection; returns the whole answer.
fn ask(mut stream: impl Read + Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The value of a series, by the beginning of its line.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[test]
fn metrics_and_probes_are_told_at_a_port_a_socket_and_the_api() {
    let (place, port) = (free_port(), free_port());
    let sites = Sites::start(&format!("[metrics]\nlisten = \"127.0.0.1:{place}\"\n"));
    let echo = Echo::start();
    let laptop = sites.linked("laptop", "");
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create web 127.0.0.1:{port} --address echo")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    echo_lines(port, 10).unwrap();

    let at = |path: &str| ask(TcpStream::connect(("127.0.0.1", place)).unwrap(), path);
    let text = at("/metrics");
    assert!(text.contains("application/openmetrics-text; version=1.0.0") && text.contains("# EOF"));
    assert!(value(&text, "van_listener_flows_total{listener=\"web\",address=\"echo\"}") >= 1.0);
    assert_eq!(value(&text, "van_service_targets{address=\"echo\"}"), 1.0);
    assert!(value(&text, "van_service_sent_bytes_total{address=\"echo\"}") > 0.0);
    assert!(value(&text, "van_process_resident_memory_bytes") > 1e6);
    let up = text.lines().find(|line| line.starts_with("van_link_up{")).unwrap();
    assert!(up.contains("peer=\"laptop\"") && up.ends_with(" 1.0"), "{up}");
    assert!(at("/livez").contains("200 OK") && at("/readyz").contains("200 OK"));
    assert!(at("/v1/status").contains("404"), "nothing else is told there");

    let socket = sites.public.dir().join("run/metrics.sock");
    assert!(ask(UnixStream::connect(socket).unwrap(), "/metrics").contains("van_site_info{"));
    let api = ask(UnixStream::connect(sites.public.socket()).unwrap(), "/v1/metrics");
    assert!(api.contains("van_site_info{"));
}

#[test]
fn a_place_for_metrics_that_is_taken_does_not_stop_the_site() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = other.local_addr().unwrap();
    let dir = temp_dir();
    let toml = format!("[site]\nname = \"here\"\n[metrics]\nlisten = \"{place}\"\n");
    let vand = Vand::start(dir.path(), &toml);
    vand.ctl("status").ok();
    wait_until(DEADLINE, "it was told", || vand.log().contains("metrics.listen can't be had"));
}

#[test]
fn a_dump_tells_everything_but_secrets() {
    let sites = Sites::start("");
    let laptop = sites.linked("laptop", "");
    let token = fs::read_to_string(sites.public.token("canary", "")).unwrap();
    let file = sites.dir().join("proxied.token");
    fs::write(&file, &token).unwrap();
    let toml = format!(
        "[site]\nname = \"third\"\n[[link]]\nname = \"up\"\ntoken = \"{}\"\n\
         proxy = \"http://anna:canary-password@127.0.0.1:{}\"\n",
        file.display(),
        free_port()
    );
    let third = Vand::start(&sites.dir().join("third"), &toml);
    for vand in [&sites.public, &laptop, &third] {
        let dump = vand.dir().join("dump.tar.gz");
        vand.ctl(&format!("debug dump {}", dump.display())).ok();
        vand.ctl(&format!("debug dump {}", dump.display())).fails(1);
        assert!(dump.metadata().unwrap().len() < 20_000_000);
        let folder = vand.dir().join("unpacked");
        fs::create_dir(&folder).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&dump).arg("-C").arg(&folder);
        assert!(tar.status().unwrap().success());
        let mut names = Vec::new();
        let keys: Vec<String> = fs::read_dir(vand.state_dir())
            .unwrap()
            .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
            .filter(|text| text.contains("PRIVATE KEY"))
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| line.len() > 40)
            .collect();
        for entry in fs::read_dir(folder.join("vand-dump")).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            let canaries = ["PRIVATE KEY", "canary-password", token.trim(), "van1."];
            for canary in canaries.iter().copied().chain(keys.iter().map(String::as_str)) {
                assert!(!text.contains(canary), "{canary:?} is in {}", path.display());
            }
        }
        for name in ["status.json", "config.json", "check.json", "metrics.txt", "log.txt"] {
            assert!(names.iter().any(|found| found == name), "no {name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name.ends_with(".failed")), "{names:?}");
        let log = fs::read_to_string(folder.join("vand-dump/log.txt")).unwrap();
        assert!(log.contains("ready"), "{log}");
    }
}

#[test]
fn codes_are_explained_without_a_daemon() {
    let dir = temp_dir();
    let vanctl = van_testkit::Vanctl::new(&dir.path().join("none.sock"));
    let text = vanctl.run("explain LinkDown").ok();
    assert!(text.contains("LinkDown: ") && text.contains("MESSAGE_ID="), "{text}");
    assert!(vanctl.run("explain").ok().contains("SubnetNotUsed"));
    assert!(vanctl.run("explain linkdow").fails(4).contains("LinkDown"));
    let json = vanctl.run("explain conflict -o json").ok();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["code"], "conflict");
}

#[test]
fn a_check_looks_at_thirty_things_in_their_groups() {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let laptop = sites.linked("laptop", "");
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create web 127.0.0.1:{port} --address echo")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let lines = |options: &str| {
        let text = sites.public.ctl(&format!("check -o json {options}")).ok();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let items = document["items"].as_array().unwrap().clone();
        let text = |item: &serde_json::Value, key: &str| item[key].as_str().unwrap().to_owned();
        items.iter().map(|i| (text(i, "group"), text(i, "what"))).collect::<Vec<_>>()
    };
    let all = lines("");
    let mut names: Vec<&String> = all.iter().map(|(_, what)| what).collect();
    names.sort();
    names.dedup();
    assert!(names.len() >= 30, "{} names: {names:?}", names.len());
    for group in [
        "host",
        "configuration",
        "identity",
        "clock",
        "ports",
        "limits",
        "dns",
        "links",
        "routes",
        "services",
        "versions",
    ] {
        assert!(all.iter().any(|(found, _)| found == group), "nothing of {group}: {all:?}");
        assert!(lines(&format!("--group {group}")).iter().all(|(found, _)| found == group));
    }
    sites.public.ctl("check --group nothing").fails(4);
}
