//! Running out of file descriptors; alone in its process, whose limit it lowers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "proxy/site.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod site;

use std::fs::File;
use std::io::{Read, Write};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use site::{Site, client, echo, echo_workload, until};

#[test]
fn accepting_pauses_and_recovers() {
    let site = Site::new();
    site.connect("echo", "echo", &echo_workload().to_string());
    site.publish("echo", 1);
    let (listener, place) = site.listen("echo");
    let mut open = client(place).unwrap();
    echo(&mut open, b"before");

    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 200.min(soft), hard).unwrap();
    let mut fill: Vec<File> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fill.push(file);
    }
    // The last one is for the client, so that none is left for its other end.
    fill.pop();
    let mut waiting = client(place).unwrap();
    waiting.write_all(b"late").unwrap();
    until("it says why", || listener.state().problem.is_some());
    let problem = listener.state().problem.unwrap();
    assert!(problem.contains("LimitNOFILE"), "{problem}");
    assert!(listener.state().accepting, "the client waits, it is not refused");
    echo(&mut open, b"open flows go on");

    drop(fill);
    let mut back = [0; 4];
    waiting.read_exact(&mut back).unwrap();
    assert_eq!(back, *b"late");
    until("it recovers", || listener.state().problem.is_none());
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
}
