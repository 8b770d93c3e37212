//! Looking for what is wrong: each kind is gathered here and judged in a module of its own.
//!
//! Judging is apart from gathering: a judge gets what was found and answers lines, without a clock,
//! a socket or a file.

use van_model::api::CheckLine;

use crate::blocking::blocking;
use crate::site::Site;

mod access;
mod config;
mod host;
mod identity;
mod limits;
mod links;
mod names;
mod naming;
mod network;
mod podman;
mod ports;
mod services;
mod state;
mod workloads;

impl Site {
    /// Looks at everything; the lines are in the order of the kinds.
    pub(crate) async fn check_all(&self) -> Vec<CheckLine> {
        let (ports, names, workloads) =
            tokio::join!(self.check_ports(), self.check_names(), self.check_workloads());
        let mut all = Vec::new();
        let mut take = |group: &str, lines: Vec<CheckLine>| {
            all.extend(lines.into_iter().map(|line| line.within(group)));
        };
        take("host", blocking(|| self.check_host()));
        take("configuration", blocking(|| self.check_config()));
        take("configuration", blocking(|| self.check_access()));
        take("identity", self.check_identity());
        take("identity", blocking(|| self.check_state_access()).into_iter().collect());
        take("identity", blocking(|| self.check_state()).into_iter().collect());
        take("clock", self.check_own_clock().into());
        take("clock", self.check_peer_clocks());
        take("ports", ports);
        take("ports", self.check_kernel_bounds().into());
        take("limits", self.check_limits());
        take("dns", names);
        take("dns", self.check_naming().await);
        take("podman", self.check_podman());
        take("links", self.check_links());
        take("services", workloads);
        take("services", self.check_services());
        let (routes, versions) = self.check_network();
        take("routes", routes);
        take("versions", versions);
        all
    }
}
