//! Tokens, peers and what a site keeps over a restart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::time::Duration;

use serde_json::Value;
use van_testkit::{DEADLINE, Echo, Exporter, Sites, Vand, echoes, free_port, wait_until};

fn items(vand: &Vand, kind: &str) -> Vec<Value> {
    let (_, list) = vand.get(&format!("/v1/{kind}")).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// Tries to link, and returns what the user is told.
#[track_caller]
fn refused(vand: &Vand, token: &str) -> String {
    let ran = vand.vanctl().run_with("link create - --wait 20s", token.as_bytes());
    assert!([1, 5].contains(&ran.status), "{ran:?}");
    let status = ran.status;
    ran.fails(status)
}

#[test]
fn a_damaged_token_is_told_from_a_wrong_one() {
    let sites = Sites::start("");
    let laptop = sites.other("laptop", "");
    let token = fs::read_to_string(sites.public.token("t", "")).unwrap();
    let token = token.trim();

    let mut damaged = token.to_owned();
    let at = damaged.len() / 2;
    let other = if &damaged[at..=at] == "A" { "B" } else { "A" };
    damaged.replace_range(at..=at, other);
    let errors = refused(&laptop, &damaged);
    assert!(errors.contains("damaged"), "{errors}");

    let errors = refused(&laptop, &token[..token.len() - 20]);
    assert!(errors.contains("damaged") || errors.contains("missing"), "{errors}");

    let errors = refused(&laptop, "hello");
    assert!(!errors.contains("damaged"), "{errors}");

    let errors = refused(&laptop, &token.replacen("van1.", "van2.", 1));
    assert!(errors.contains("van2") || errors.contains("version"), "{errors}");
    assert!(items(&laptop, "links").is_empty(), "nothing of it stays");

    // The token itself is still good, also wrapped as mail does.
    let (head, tail) = token.split_at(60);
    let wrapped = format!("\n  {head}\r\n{tail}\r\n");
    laptop.vanctl().run_with("link create -", wrapped.as_bytes()).ok();
}

#[test]
fn unknown_expired_and_used_up_are_one_answer() {
    let sites = Sites::start("");
    let [first, second, third, fourth] = ["a", "b", "c", "d"].map(|name| sites.other(name, ""));
    let used = fs::read_to_string(sites.public.token("used", "")).unwrap();
    let revoked = fs::read_to_string(sites.public.token("revoked", "")).unwrap();
    let short = fs::read_to_string(sites.public.token("short", "--expires 1s")).unwrap();
    first.vanctl().run_with("link create -", used.as_bytes()).ok();
    sites.public.ctl("token revoke revoked").ok();
    wait_until(DEADLINE, "the token expired", || {
        let tokens = items(&sites.public, "tokens");
        let short = tokens.iter().find(|token| token["name"] == "short");
        short.is_none_or(|token| token["status"]["conditions"][0]["status"] == "False")
    });
    let told = refused(&second, &used);
    assert_eq!(refused(&third, &revoked), told);
    // Whoever holds an expired token can read its expiry, so that much may be said.
    let expired = refused(&fourth, &short);
    assert!(expired == told || expired.contains("expired"), "{expired}");
    assert_eq!(items(&sites.public, "peers").len(), 1);
}

#[test]
fn a_refused_token_ends_the_exporter() {
    let sites = Sites::start("");
    let token = sites.public.token("once", "");
    let laptop = sites.other("laptop", "");
    laptop.ctl(&format!("link create {}", token.display())).ok();
    let line = format!("export x=127.0.0.1:1 --token {}", token.display());
    let errors = Exporter::run(sites.dir(), &line).fails(5);
    assert!(errors.contains("used up"), "{errors}");
}

#[test]
fn a_token_for_oneself_is_told() {
    let sites = Sites::start("");
    let token = fs::read_to_string(sites.public.token("own", "")).unwrap();
    let errors = refused(&sites.public, &token);
    assert!(errors.contains("this very site"), "{errors}");
}

#[test]
fn two_at_once_and_one_wins() {
    let sites = Sites::start("");
    let token = fs::read(sites.public.token("one", "")).unwrap();
    let others = ["a", "b", "c"].map(|name| sites.other(name, ""));
    let threads = others.each_ref().map(|vand| {
        let (vanctl, token) = (vand.vanctl(), token.clone());
        std::thread::spawn(move || vanctl.run_with("link create - --wait 20s", &token).status)
    });
    let codes = threads.map(|thread| thread.join().unwrap());
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(items(&sites.public, "peers").len(), 1);
}

#[test]
fn an_old_token_links_a_known_peer_again() {
    let sites = Sites::start("");
    let laptop = sites.other("laptop", "");
    let token = sites.public.token("old", "");
    let create = format!("link create {} --name up", token.display());
    laptop.ctl(&create).ok();
    sites.public.ctl("token revoke old").ok();
    for _ in 0..2 {
        laptop.ctl("link delete up").ok();
        wait_until(DEADLINE, "the link was gone", || items(&sites.public, "links").is_empty());
        assert_eq!(items(&laptop, "peers").len(), 1, "the pinned peer is kept");
        laptop.ctl(&create).ok();
    }
}

#[test]
fn a_revoked_peer_is_refused_until_a_newer_token_admits_it() {
    let (mut sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let laptop = sites.other("laptop", "");
    let old = fs::read_to_string(sites.public.token("old", "--uses 5")).unwrap();
    laptop.vanctl().run_with("link create - --name up", old.as_bytes()).ok();
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));

    let unused = fs::read_to_string(sites.public.token("unused", "")).unwrap();
    sites.public.ctl("peer revoke laptop").ok();
    wait_until(Duration::from_secs(5), "the link was closed", || !echoes(port));
    wait_until(DEADLINE, "the link is gone", || items(&sites.public, "links").is_empty());
    laptop.ctl("link delete up").ok();
    refused(&laptop, &old);
    refused(&laptop, &unused);
    assert!(!echoes(port));
    let log = sites.public.log();
    assert!(log.contains("it was revoked here"), "the operator is told why: {log}");
    sites.public.kill();
    sites.public.start_again();
    refused(&laptop, &unused);
    assert!(sites.public.ctl("peer list").ok().contains("revoked"));

    let fresh = fs::read_to_string(sites.public.token("fresh", "")).unwrap();
    laptop.vanctl().run_with("link create - --name up", fresh.as_bytes()).ok();
    wait_until(DEADLINE, "the service was there again", || echoes(port));
    assert!(!sites.public.ctl("peer list").ok().contains("revoked"));
    laptop.ctl("link delete up").ok();
    laptop.vanctl().run_with("link create - --name up", old.as_bytes()).ok();
}

#[test]
fn a_site_that_only_dials_trusts_again_whom_it_revoked() {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let laptop = sites.other("laptop", "");
    let token = sites.public.token("t", "");
    laptop.ctl(&format!("link create {} --name up", token.display())).ok();
    sites.public.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    laptop.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let issuer = items(&laptop, "peers")[0]["name"].as_str().unwrap().to_owned();
    laptop.ctl(&format!("peer revoke {issuer}")).ok();
    wait_until(Duration::from_secs(5), "the link was closed", || !echoes(port));
    laptop.ctl("link delete up").ok();
    let fresh = fs::read_to_string(sites.public.token("fresh", "")).unwrap();
    let why = refused(&laptop, &fresh);
    assert!(why.contains("peer trust"), "the way out is told: {why}");

    laptop.ctl(&format!("peer trust {issuer}")).ok();
    laptop.vanctl().run_with("link create - --name up", fresh.as_bytes()).ok();
    wait_until(DEADLINE, "the service was there again", || echoes(port));
    laptop.ctl("peer trust nobody").fails(4);
}

#[test]
fn a_restart_keeps_what_was_made() {
    let (mut sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let mut laptop = sites.other("laptop", "");
    let token = sites.public.token("t", "");
    laptop.ctl(&format!("link create {} --name up --cost 7", token.display())).ok();
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let id = |vand: &Vand| vand.get("/v1/status").unwrap().1["id"].clone();
    let before = (id(&sites.public), id(&laptop));

    fs::remove_file(&token).unwrap();
    laptop.kill();
    sites.public.kill();
    sites.public.start_again();
    laptop.start_again();
    wait_until(DEADLINE, "the service was there again", || echoes(port));
    assert_eq!((id(&sites.public), id(&laptop)), before);
    assert_eq!(items(&laptop, "links")[0]["status"]["cost"], 7);
}

#[test]
fn a_file_link_needs_its_token_once() {
    let sites = Sites::start("");
    let token = sites.public.token("t", "");
    let dir = sites.dir().join("laptop");
    let toml = format!(
        "[site]\nname = \"laptop\"\n[[link]]\nname = \"up\"\ntoken = \"{}\"\n",
        token.display()
    );
    let mut laptop = Vand::start(&dir, &toml);
    laptop.wait_linked();
    fs::remove_file(&token).unwrap();
    assert!(laptop.terminate(DEADLINE).success());
    laptop.start_again();
    laptop.wait_linked();

    // A site that does not know the issuer yet can't start without it.
    let other = toml.replace("laptop", "other");
    let (status, log) = Vand::refused(&sites.dir().join("other"), &other);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(token.to_str().unwrap()), "{log}");
}

#[test]
fn a_second_daemon_is_told_who_holds_the_state() {
    let sites = Sites::start("");
    let mut public = sites.public;
    let dir = public.dir().to_owned();
    let mut command = std::process::Command::new(van_testkit::vand_binary());
    command.env_clear().arg("run").arg("--config").arg(dir.join("vand.toml"));
    command.arg("--state-dir").arg(dir.join("state"));
    command.arg("--runtime-dir").arg(dir.join("other-run"));
    let ran = van_testkit::Ran::of(command, b"");
    assert!(ran.status > 0, "{ran:?}");
    let pid = format!("pid {}", public.process().id());
    assert!(ran.stderr.contains(&pid), "{ran:?}");
    assert!(public.ctl("status").ok().contains("public"), "the first goes on");
}

#[test]
fn torn_state_is_set_aside_and_told() {
    let mut sites = Sites::start("");
    let id = sites.public.get("/v1/status").unwrap().1["id"].clone();
    sites.public.ctl("expose 127.0.0.1:9 --address x --wait 0").ok();
    sites.public.kill();
    let state = sites.public.state_dir();
    for name in ["identity.json", "resources.json"] {
        let path = state.join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    sites.public.start_again();
    assert_eq!(sites.public.get("/v1/status").unwrap().1["id"], id, "the identity has a copy");
    assert!(items(&sites.public, "connectors").is_empty());
    assert!(sites.public.log().contains("resources.torn-1"), "{}", sites.public.log());
    let kept = fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name());
    assert!(kept.into_iter().any(|name| name == "resources.torn-1"));
}
