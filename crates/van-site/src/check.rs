//! Looking for what is wrong: each kind is gathered here and judged in a module of its own.
//!
//! Judging is apart from gathering: a judge gets what was found and answers lines, without a clock,
//! a socket or a file.

use van_model::api::CheckLine;

use crate::blocking::blocking;
use crate::site::Site;

mod config;
mod identity;
mod limits;
mod links;
mod names;
mod network;
mod ports;
mod services;
mod state;
mod workloads;

impl Site {
    /// Looks at everything; the lines are in the order of the kinds.
    pub(crate) async fn check_all(&self) -> Vec<CheckLine> {
        let (ports, names, workloads) =
            tokio::join!(self.check_ports(), self.check_names(), self.check_workloads());
        let mut lines = blocking(|| {
            let mut lines = self.check_config();
            lines.extend(self.check_state());
            lines
        });
        lines.extend(self.check_identity());
        lines.extend(self.check_limits());
        lines.extend(ports);
        lines.extend(names);
        lines.extend(self.check_links());
        lines.extend(workloads);
        lines.extend(self.check_services());
        lines.extend(self.check_network());
        lines
    }
}
