//! From two fresh hosts to a service that one has and the other uses.

use std::time::{Duration, Instant};

use van_lab::Lab;

use crate::{answers, asks, tell, wait_for};

/// The longest that it may take without downloads.
const GOAL: Duration = Duration::from_secs(60);

#[test]
fn four_commands_join_two_fresh_hosts() {
    let lab = Lab::new();
    let here = lab.public("here", 10);
    let (there, _router) = lab.private("there", 1);
    let _workload = answers(&there, 7000, "hello");

    let start = Instant::now();
    let said = here.install();
    let _said = there.install();
    let token = here.vanctl("token create --accept").ok();
    there.write("/srv/token", &token);
    let _linked = there.vanctl("link create /srv/token").ok();
    let _exposed = there.vanctl("expose 127.0.0.1:7000 --address echo").ok();
    let place = here.wait_import("echo");
    wait_for(&here, &asks(&place, "hello"));
    let took = start.elapsed();
    tell(&format!("two fresh hosts to a working service: {:.1} s", took.as_secs_f64()));
    assert!(took < GOAL, "{took:?}");

    assert!(said.contains("Go on with: vanctl status"), "{said}");
    let status = here.vanctl("status").ok();
    assert!(status.contains("It is connected to 1 other sites."), "{status}");
    assert_eq!(there.unit("vand", "StatusText"), "1 link up, 1 service, 0 warnings");
}
