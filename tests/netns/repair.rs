//! How long it takes until the next connection works, measured by a request every 10 ms.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use van_testkit::{DEADLINE, Host, Talk, wait_until};

use crate::ring::{LEFT, Ring};
use crate::tell;

/// The time between two requests.
const PACE: Duration = Duration::from_millis(10);

/// The goal after a link was closed.
const CLOSED: Duration = Duration::from_millis(300);

/// The goal after a path fell silent.
const SILENT: Duration = Duration::from_secs(4);

/// Breaks something under requests, and returns when the first connection that was asked for after
/// that had its answer.
fn repair(host: &Host, fault: impl FnOnce()) -> Duration {
    let (answered, answers) = channel();
    let request = |answered: Sender<Instant>| {
        move || {
            if Talk::open(LEFT).is_ok() {
                // Nobody listens any more when the first answer was had.
                let _late = answered.send(Instant::now());
            }
        }
    };
    host.within(request(answered.clone()));
    answers.recv().unwrap();
    fault();
    let broken = Instant::now();
    host.within(move || {
        let (mut sent, mut first) = (0, None);
        wait_until(DEADLINE, "a connection worked", || {
            if broken.elapsed() >= PACE * sent {
                sent += 1;
                std::thread::spawn(request(answered.clone()));
            }
            first = answers.try_recv().ok();
            first.is_some()
        });
        first.map(|at| at.saturating_duration_since(broken)).unwrap()
    })
}

#[test]
fn after_a_closed_link() {
    let mut ring = Ring::start();
    let host = ring.client().host.clone();
    let took = repair(&host, || ring.sites[1].kill());
    tell(&format!("the next connection after a closed link: {took:?} (goal {CLOSED:?})"));
    assert!(took <= CLOSED * 2, "{took:?}");
}

#[test]
fn after_a_silent_path() {
    let ring = Ring::start();
    let took = repair(&ring.client().host, || ring.cables[0].silence());
    tell(&format!("the next connection after a silent path: {took:?} (goal {SILENT:?})"));
    assert!(took <= SILENT * 2, "{took:?}");
}
