//! The packages on booted hosts, with real software: run by `make test-lab`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod container;
mod crash;
mod disk;
mod init;
mod names;
mod package;
mod podman;
mod portal;
mod quadlet;
mod redis;
mod reload;
mod rights;
mod rpm;
mod socket;
mod start;
mod users;

use std::io::Write as _;
use std::time::Duration;

use van_lab::Host;
use van_testkit::wait_until;

/// What hosts that boot or start again may need.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells a measured figure, also of a test that passes.
fn tell(figure: &str) {
    // The harness keeps what is printed; a closed standard error can't be helped.
    let _unheard = writeln!(std::io::stderr(), "measured: {figure}");
}

/// Waits until a line of shell succeeds on a host, and gives what it printed.
#[track_caller]
fn wait_for(host: &Host, line: &str) -> String {
    let mut said = String::new();
    wait_until(PATIENCE, &format!("`{line}` worked at {}", host.name()), || {
        let ran = host.sh(line);
        said = ran.stdout;
        ran.status == 0
    });
    said
}

/// Starts a workload that answers every connection with a line.
#[track_caller]
fn answers(host: &Host, port: u16, line: &str) -> van_testkit::Process {
    let run =
        format!("exec socat TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork SYSTEM:'echo {line}'");
    let process = host.start(&run);
    wait_for(host, &format!("ss -Hltn 'sport = :{port}' | grep -q ."));
    process
}

/// The line of shell that asks such a workload.
fn asks(place: &str, line: &str) -> String {
    format!("socat -t 5 - TCP:{place},connect-timeout=5 </dev/null | grep -qx {line}")
}
