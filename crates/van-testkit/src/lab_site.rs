//! A site on a host of a laboratory.

use std::io;

use crate::daemon::Vand;
use crate::lab::Lab;
use crate::namespace::Host;
use crate::pattern::{FlowEnd, pattern_flow};
use crate::talk::Talk;
use crate::wait::{DEADLINE, wait_until};

/// The port at which sites accept links.
const LINK_PORT: u16 = 8263;

/// A daemon on a host, whose name is the site's.
#[derive(Debug)]
pub struct LabSite {
    /// The daemon.
    pub vand: Vand,
    /// Its host.
    pub host: Host,
}

impl Lab {
    /// Starts an interior site that accepts links at the addresses that its host has now.
    ///
    /// # Panics
    /// When it doesn't start.
    #[track_caller]
    pub fn site(&self, host: &Host) -> LabSite {
        let addresses = host.addresses().into_iter();
        let advertised: Vec<_> = addresses.map(|ip| format!("\"{ip}:{LINK_PORT}\"")).collect();
        self.site_with(
            host,
            "",
            &format!(
                "[accept]\nlisten = [\"0.0.0.0:{LINK_PORT}\"]\nadvertise = [{}]\n",
                advertised.join(", ")
            ),
        )
    }

    /// Starts an interior site that dials and at which services of the network appear by themselves,
    /// at addresses and under names of their own.
    ///
    /// # Panics
    /// When it doesn't start.
    #[track_caller]
    pub fn importing(&self, host: &Host, services: &str) -> LabSite {
        let toml = format!("[site]\nname = \"{}\"\n[services]\n{services}", host.name());
        let dir = self.dir().join(host.name());
        LabSite { vand: host.within(|| Vand::start(&dir, &toml)), host: host.clone() }
    }

    /// Starts an edge site, which only dials.
    ///
    /// # Panics
    /// When it doesn't start.
    #[track_caller]
    pub fn edge(&self, host: &Host) -> LabSite {
        self.site_with(host, "mode = \"edge\"\n", "")
    }

    /// Starts one interior site for each host, all at a time.
    ///
    /// # Panics
    /// When one doesn't start.
    #[track_caller]
    pub fn sites(&self, hosts: &[Host]) -> Vec<LabSite> {
        std::thread::scope(|scope| {
            let starts: Vec<_> = hosts.iter().map(|host| scope.spawn(|| self.site(host))).collect();
            starts.into_iter().map(|start| start.join().expect("the site starts")).collect()
        })
    }

    fn site_with(&self, host: &Host, keys: &str, sections: &str) -> LabSite {
        let toml = format!(
            "[site]\nname = \"{}\"\n{keys}{sections}[services]\nimport = []\n",
            host.name()
        );
        let dir = self.dir().join(host.name());
        LabSite { vand: host.within(|| Vand::start(&dir, &toml)), host: host.clone() }
    }
}

impl LabSite {
    /// Dials another site with a token of its own, by a link `to-NAME`.
    ///
    /// # Panics
    /// When the link doesn't come up.
    #[track_caller]
    pub fn dial(&self, other: &Self, cost: u16) {
        let token = other.vand.token(self.host.name(), "");
        let (token, name) = (token.display(), other.host.name());
        self.vand.ctl(&format!("link create {token} --name to-{name} --cost {cost}")).ok();
    }

    /// Offers a workload at a loopback port of its host.
    ///
    /// # Panics
    /// When the workload doesn't answer.
    #[track_caller]
    pub fn offer(&self, address: &str, port: u16) {
        let name = address.replace(':', "-");
        let line = format!("connector create {name}-{port} 127.0.0.1:{port} --address {address}");
        self.vand.ctl(&line).ok();
    }

    /// Listens for a service at a loopback port of its host, and waits until there is a target.
    ///
    /// # Panics
    /// When none appears.
    #[track_caller]
    pub fn listen(&self, address: &str, port: u16) {
        self.listen_with(address, port, "");
        self.wait_accepting(port);
    }

    /// The same with options of `vanctl listener create`; a target may come later.
    ///
    /// # Panics
    /// When it can't be made.
    #[track_caller]
    pub fn listen_with(&self, address: &str, port: u16, options: &str) {
        let line = format!("listener create at-{port} 127.0.0.1:{port} --address {address}");
        self.vand.ctl(&format!("{line} {options}")).ok();
    }

    /// Whether a listener has a target now. No flow is made to see it.
    pub fn is_accepting(&self, port: u16) -> bool {
        let listener = self.vand.get(&format!("/v1/listeners/at-{port}"));
        listener.is_some_and(|(_, listener)| listener["status"]["accepting"] == true)
    }

    /// Waits until a listener has a target.
    ///
    /// # Panics
    /// When none appears.
    #[track_caller]
    pub fn wait_accepting(&self, port: u16) {
        let what = format!("{} had a target for port {port}", self.host.name());
        wait_until(DEADLINE, &what, || self.is_accepting(port));
    }

    /// How many other sites it reaches.
    pub fn reached(&self) -> u64 {
        let status = self.vand.get("/v1/status").map(|(_, status)| status);
        status.and_then(|status| status["sites_reached"].as_u64()).unwrap_or_default()
    }

    /// Opens one checked flow from its host to a loopback port, behind which a
    /// [`crate::PatternServer`] stands.
    pub fn flow(&self, port: u16, seed: u64, up: u64, down: u64) -> FlowEnd {
        self.host.within(|| pattern_flow(port, seed, up, down))
    }

    /// Opens a conversation from its host with a loopback port, behind which a
    /// [`crate::Witness`] stands, and says something.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn talk(&self, port: u16) -> io::Result<Talk> {
        self.host.within(|| Talk::open(port))
    }

    /// Ends the daemon as a crash would.
    ///
    /// # Panics
    /// When it had ended already.
    #[track_caller]
    pub fn kill(&mut self) {
        self.vand.kill();
    }

    /// Starts the daemon again on the same state.
    ///
    /// # Panics
    /// When it still runs, or doesn't start.
    #[track_caller]
    pub fn start_again(&mut self) {
        let Self { vand, host } = self;
        host.within(|| vand.start_again());
    }
}
