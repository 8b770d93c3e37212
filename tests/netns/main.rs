//! Networks of real hosts: namespaces with firewalls, routers, cables that fall silent, and daemons
//! that die, each with flows of which every byte is checked. They need root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod choosing;
mod firewalls;
mod heal;
mod names;
mod repair;
mod ring;
mod shapes;
mod transit;

use std::io::Write as _;

use van_testkit::{FlowEnd, LabSite};

/// Checks a flow of some hundred kilobytes each way.
#[track_caller]
fn checks(site: &LabSite, port: u16) {
    let end = site.flow(port, 7, 300_000, 200_000);
    assert!(matches!(end, FlowEnd::Complete), "from {} to port {port}: {end:?}", site.host.name());
}

/// Tells a measured figure, also of a test that passes.
fn tell(figure: &str) {
    // The harness keeps what is printed; a closed standard error can't be helped.
    let _unheard = writeln!(std::io::stderr(), "measured: {figure}");
}
