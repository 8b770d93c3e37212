//! HTTP by request through real sites: what passes, what is refused, and who answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod balance;
mod client;
mod faults;
mod floods;
mod http2;
mod messages;
mod routes;
mod seen;
mod strict;
mod target;
mod traced;

use van_testkit::{DEADLINE, Sites, Vand, free_port, wait_until};

use client::Client;

/// Offers a target's port at a site under the address `web`.
#[track_caller]
fn offer(at: &Vand, name: &str, port: u16, options: &str) {
    let line =
        format!("connector create {name} 127.0.0.1:{port} --address web --protocol http {options}");
    at.ctl(&line).ok();
}

/// Listens for `web` and waits until so many targets are known.
#[track_caller]
fn listen(at: &Vand, targets: u64, options: &str) -> u16 {
    let port = free_port();
    let options = if options.contains("--protocol") {
        options.to_owned()
    } else {
        format!("--protocol http {options}")
    };
    at.ctl(&format!("listener create web 127.0.0.1:{port} {options}")).ok();
    wait_until(DEADLINE, "the targets were known", || {
        let Some((_, services)) = at.get("/v1/services") else { return false };
        let items = services["items"].as_array().cloned().unwrap_or_default();
        let Some(web) = items.iter().find(|item| item["name"] == "web") else { return false };
        let known = web["status"]["targets"]
            .as_object()
            .map(|sites| sites.values().filter_map(serde_json::Value::as_u64).sum::<u64>());
        known == Some(targets)
    });
    wait_until(DEADLINE, "the listener accepted", || {
        let listener = at.get("/v1/listeners/web");
        listener.is_some_and(|(_, listener)| listener["status"]["accepting"] == true)
    });
    port
}

/// A site whose listener leads to one target at another one.
struct Pair {
    sites: Sites,
    other: Vand,
    port: u16,
}

impl Pair {
    #[track_caller]
    fn start(target: u16) -> Self {
        let sites = Sites::start("");
        let other = sites.linked("other", "");
        offer(&other, "t", target, "");
        let port = listen(&sites.public, 1, "");
        Self { sites, other, port }
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }
}
