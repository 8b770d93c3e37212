//! TLS at the edges of real sites, with real programs: openssl, curl and nginx.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod authority;
mod clients;
mod names;
mod workloads;

use std::path::Path;

use van_testkit::{DEADLINE, Sites, Vand, free_port, wait_until};

use authority::Authority;

/// Two sites, and an authority with the files that it made.
struct Lab {
    sites: Sites,
    other: Vand,
    authority: Authority,
}

impl Lab {
    #[track_caller]
    fn start() -> Self {
        let sites = Sites::start("");
        let other = sites.linked("other", "");
        Self { sites, other, authority: Authority::new("ours") }
    }

    /// Offers a port at the other site.
    #[track_caller]
    fn offer(&self, port: u16, options: &str) {
        let line = format!("connector create web 127.0.0.1:{port} {options}");
        self.other.ctl(&line).ok();
    }

    /// Listens for it at the public one, and waits until clients are accepted.
    #[track_caller]
    fn listen(&self, options: &str) -> u16 {
        let port = free_port();
        self.sites.public.ctl(&format!("listener create web 127.0.0.1:{port} {options}")).ok();
        self.wait_accepting();
        port
    }

    #[track_caller]
    fn wait_accepting(&self) {
        wait_until(DEADLINE, "the listener accepted", || {
            let listener = self.sites.public.get("/v1/listeners/web");
            listener.is_some_and(|(_, listener)| listener["status"]["accepting"] == true)
        });
    }

    /// The options of a listener with a certificate of `localhost`.
    fn ending_tls(&self) -> String {
        let (certificate, key) = self.authority.issue("server", &["localhost"]);
        format!("--tls-certificate {} --tls-key {}", certificate.display(), key.display())
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
