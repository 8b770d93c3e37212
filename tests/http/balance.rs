//! Requests of one kept connection go round over all targets of all sites.

use van_testkit::Sites;

use crate::target::Target;
use crate::{Client, listen, offer};

const REQUESTS: usize = 10_000;

fn shares(strategy: &str) -> Vec<f64> {
    let sites = Sites::start("");
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    let targets: Vec<_> = (0..4).map(|_| Target::saying("x")).collect();
    for (n, target) in targets[..3].iter().enumerate() {
        offer(&a, &format!("a{n}"), target.port, "");
    }
    offer(&b, "b", targets[3].port, "");
    let port = listen(&sites.public, 4, &format!("--strategy {strategy}"));
    let mut client = Client::connect(port);
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").status, 200);
    }
    let counts: Vec<_> = targets.iter().map(|t| t.requests() as f64 / REQUESTS as f64).collect();
    assert!((counts.iter().sum::<f64>() - 1.0).abs() < 0.001, "{counts:?}");
    let connections: Vec<_> = targets.iter().map(Target::connections).collect();
    assert!(connections.iter().all(|count| *count <= 8), "{connections:?}");
    counts
}

#[test]
fn each_of_four_equal_targets_gets_a_quarter() {
    for strategy in ["weighted", "balanced"] {
        let shares = shares(strategy);
        assert!(shares.iter().all(|s| (0.2375..=0.2625).contains(s)), "{strategy}: {shares:?}");
    }
}
