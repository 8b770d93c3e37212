//! Targets at several sites.

use serde_json::Value;
use van_testkit::{Cable, DEADLINE, Lab, LabSite, Talk, Witness, wait_until};

use crate::tell;

/// The port of every listener here.
const PORT: u16 = 7001;
/// The first port of targets.
const TARGET: u16 = 7100;

/// A site with clients, and two others at equal cost.
struct Fork {
    client: LabSite,
    one: LabSite,
    two: LabSite,
    _cables: [Cable; 2],
    _lab: Lab,
}

impl Fork {
    fn start() -> Self {
        let lab = Lab::new();
        let [client, one, two] = ["client", "one", "two"].map(|name| lab.host(name));
        let cables = [lab.cable(&client, &one), lab.cable(&client, &two)];
        let mut sites = lab.sites(&[client, one, two]).into_iter();
        let mut next = || sites.next().unwrap();
        let (client, one, two) = (next(), next(), next());
        one.dial(&client, 1);
        two.dial(&client, 1);
        Self { client, one, two, _cables: cables, _lab: lab }
    }

    /// Waits until the client's site knows of so many targets.
    fn wait_targets(&self, address: &str, count: u64) {
        wait_until(DEADLINE, &format!("{count} targets of {address} were known"), || {
            let service = self.client.vand.get(&format!("/v1/services/{address}"));
            service.is_some_and(|(_, service)| {
                let targets = service["status"]["targets"].as_object();
                targets.is_some_and(|t| t.values().filter_map(Value::as_u64).sum::<u64>() == count)
            })
        });
    }

    fn talk(&self) -> Talk {
        self.client.talk(PORT).unwrap()
    }
}

/// Starts a target at a site, with options of `vanctl connector create`.
fn target(site: &LabSite, port: u16, options: &str) -> Witness {
    let witness = site.host.within(|| Witness::start(port));
    let line = format!("connector create at-{port} 127.0.0.1:{port} {options}");
    site.vand.ctl(&line).ok();
    witness
}

#[test]
fn eighty_connections_spread_evenly_over_three_targets_and_one() {
    let fork = Fork::start();
    let mut targets: Vec<_> =
        (0..3).map(|n| target(&fork.one, TARGET + n, "--address many")).collect();
    targets.push(target(&fork.two, TARGET, "--address many"));
    fork.client.listen("many", PORT);
    fork.wait_targets("many", 4);
    let talks: Vec<_> = (0..80).map(|_| fork.talk()).collect();
    let spread: Vec<_> = targets.iter().map(Witness::talks).collect();
    tell(&format!("80 connections over 3 + 1 targets: {spread:?}"));
    assert_eq!(spread.iter().sum::<usize>(), 80);
    assert!(spread.iter().all(|&talks| (17..=23).contains(&talks)), "{spread:?}");
    drop(talks);
}

/// Fails over from the first site's target to the second's and back.
#[track_caller]
fn fails_over(options: [&str; 2], address: &str, seen: [(&str, u64); 2]) {
    let fork = Fork::start();
    let mut first = target(&fork.one, TARGET, options[0]);
    let second = target(&fork.two, TARGET, options[1]);
    fork.client.listen_with(address, PORT, "--strategy failover");
    let settle = || seen.iter().for_each(|(address, count)| fork.wait_targets(address, *count));
    settle();
    for _ in 0..20 {
        fork.talk();
    }
    assert_eq!((first.talks(), second.talks()), (20, 0));

    drop(first);
    // The flow that finds nobody at the first target goes on to the second.
    let mut kept = fork.talk();
    assert_eq!(second.talks(), 1);
    fork.wait_targets(seen[0].0, seen[0].1 - 1);
    first = fork.one.host.within(|| Witness::start(TARGET));
    settle();
    wait_until(DEADLINE, "new flows were back at the first", || {
        fork.talk();
        first.talks() > 0
    });
    kept.say().unwrap();
    assert_eq!(second.broken(), 0);
}

#[test]
fn flows_fail_over_by_priority_and_come_back() {
    let options = ["--address spare --priority 0", "--address spare --priority 1"];
    fails_over(options, "spare", [("spare", 2), ("spare", 2)]);
}

#[test]
fn flows_fail_over_between_addresses_and_come_back() {
    let options = ["--address main", "--address spare"];
    fails_over(options, "main,spare", [("main", 1), ("spare", 1)]);
}

/// Shares 200 connections between two sites by the weights 90 and 10.
#[track_caller]
fn shares(options: [&str; 2], address: &str, seen: [(&str, u64); 2]) {
    let fork = Fork::start();
    let heavy = target(&fork.one, TARGET, options[0]);
    let light = target(&fork.two, TARGET, options[1]);
    fork.client.listen_with(address, PORT, "--strategy weighted");
    seen.iter().for_each(|(address, count)| fork.wait_targets(address, *count));
    let talks: Vec<_> = (0..200).map(|_| fork.talk()).collect();
    let shares = [heavy.talks(), light.talks()];
    tell(&format!("200 connections by the weights 90 and 10: {shares:?}"));
    assert_eq!(shares[0] + shares[1], 200);
    assert!((10..=30).contains(&shares[1]), "{shares:?}");
    drop(talks);
}

#[test]
fn flows_are_shared_by_the_weights_of_targets() {
    let options = ["--address one --weight 90", "--address one --weight 10"];
    shares(options, "one", [("one", 2), ("one", 2)]);
}

#[test]
fn flows_are_shared_by_the_weights_of_addresses() {
    let options = ["--address heavy", "--address light"];
    shares(options, "heavy=90,light=10", [("heavy", 1), ("light", 1)]);
}
