//! Two sites that meet at a third.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User, chown};
use van_testkit::{
    Cable, DEADLINE, Host, Lab, LabSite, Process, program, wait_for_port, wait_until,
};

/// A site with a server, one with its clients, and maybe one between that both dial.
pub(crate) struct Far {
    near: LabSite,
    _between: Option<LabSite>,
    far: LabSite,
    _cables: Vec<Cable>,
    lab: Lab,
}

impl Far {
    pub(crate) fn start() -> Self {
        let lab = Lab::new();
        let hosts = ["near", "between", "far"].map(|name| lab.host(name));
        let cables = [lab.cable(&hosts[0], &hosts[1]), lab.cable(&hosts[1], &hosts[2])];
        hosts[0].only_dials();
        hosts[2].only_dials();
        let mut sites = lab.sites(&hosts).into_iter();
        let mut next = || sites.next().unwrap();
        let (near, between, far) = (next(), next(), next());
        near.dial(&between, 1);
        far.dial(&between, 1);
        Self { near, _between: Some(between), far, _cables: cables.into(), lab }
    }

    /// Two sites only: the server's dials the clients'.
    pub(crate) fn side_by_side() -> Self {
        let lab = Lab::new();
        let hosts = ["near", "far"].map(|name| lab.host(name));
        let cable = lab.cable(&hosts[0], &hosts[1]);
        hosts[1].only_dials();
        let mut sites = lab.sites(&hosts).into_iter();
        let (near, far) = (sites.next().unwrap(), sites.next().unwrap());
        far.dial(&near, 1);
        Self { near, _between: None, far, _cables: vec![cable], lab }
    }

    /// The same work over one link, and with a site between.
    pub(crate) fn both() -> [Self; 2] {
        [Self::side_by_side(), Self::start()]
    }

    /// The host of the clients.
    pub(crate) fn near(&self) -> &Host {
        &self.near.host
    }

    /// The host of the server.
    pub(crate) fn far(&self) -> &Host {
        &self.far.host
    }

    /// Starts a server that listens at a loopback port, and waits until it does.
    #[track_caller]
    pub(crate) fn serve(&self, command: Command, port: u16) -> Process {
        let server = self.far().start(command, &self.lab.dir().join("server.log"));
        wait_for_port(self.far(), port, DEADLINE);
        server
    }

    /// Makes the server's port a service that clients find at the same port of their own host.
    #[track_caller]
    pub(crate) fn bring(&self, address: &str, port: u16) {
        self.far.offer(address, port);
        self.near.listen(address, port);
    }

    /// The same without checks of the server, which listens only now and then.
    #[track_caller]
    pub(crate) fn bring_unchecked(&self, address: &str, port: u16) {
        let line = format!("connector create at-{port} 127.0.0.1:{port} --address {address}");
        self.far.vand.ctl(&format!("{line} --check none")).ok();
        self.near.listen(address, port);
    }

    /// Makes the server's port a service whose requests are balanced one by one.
    #[track_caller]
    pub(crate) fn bring_as(&self, protocol: &str, address: &str, port: u16) {
        let options = format!("--address {address} --protocol {protocol}");
        let line = format!("connector create {address} 127.0.0.1:{port} {options}");
        self.far.vand.ctl(&line).ok();
        self.near.listen_with(address, port, &format!("--protocol {protocol}"));
        self.near.wait_accepting(port);
    }

    /// Makes the server's port of datagrams a service at the same port of the clients' host.
    #[track_caller]
    pub(crate) fn bring_datagrams(&self, address: &str, port: u16) {
        let options = format!("--address {address} --protocol udp");
        let target = format!("127.0.0.1:{port}");
        self.far.vand.ctl(&format!("connector create {address} {target} {options}")).ok();
        self.near.vand.ctl(&format!("listener create {address} {target} {options}")).ok();
        wait_until(DEADLINE, "the service of datagrams was there", || {
            let listener = self.near.vand.get(&format!("/v1/listeners/{address}"));
            listener.is_some_and(|(_, listener)| listener["status"]["accepting"] == true)
        });
    }

    /// Runs a client to its end; `line` is split at white space.
    #[track_caller]
    pub(crate) fn client(&self, mut client: Command, line: &str, input: &[u8]) -> String {
        client.args(line.split_whitespace());
        self.near().run(client, input).ok()
    }

    /// Makes a folder that belongs to a user.
    #[track_caller]
    pub(crate) fn folder(&self, name: &str, owner: &str) -> PathBuf {
        let dir = self.lab.dir().join(name);
        fs::create_dir(&dir).unwrap();
        let user = user(owner);
        chown(&dir, Some(user.uid), Some(user.gid)).unwrap();
        // The user has to come through.
        open(self.lab.dir());
        open(&dir);
        dir
    }
}

fn open(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode =
        if fs::metadata(dir).unwrap().permissions().mode() & 0o077 == 0 { 0o711 } else { 0o755 };
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
}

fn user(name: &str) -> User {
    let user = User::from_name(name).unwrap();
    let user = user.unwrap_or_else(|| panic!("there is no user {name}: is its package installed?"));
    assert_ne!(user.uid, Uid::from_raw(0));
    user
}

/// A command of a program that runs as another user.
pub(crate) fn as_user(name: &str, of: &Command) -> Command {
    let user = user(name);
    let mut command = program("setpriv", "util-linux");
    command.args([
        format!("--reuid={}", user.uid),
        format!("--regid={}", user.gid),
        "--clear-groups".into(),
    ]);
    command.arg(of.get_program()).args(of.get_args()).current_dir("/");
    command
}
