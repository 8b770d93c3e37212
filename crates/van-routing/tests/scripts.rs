//! The classical cases, as scripts that a person can read: `tests/scripts/*.txt`.
//!
//! A line is a command; lines that begin with `>` are what the command before them must print.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use van_routing::{RouterEvent, RouterId};
use van_testkit::{Memory, VirtualNetwork};

macro_rules! scripts {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                play(include_str!(concat!("scripts/", stringify!($name), ".txt")));
            }
        )+
    };
}

scripts! {
    ring,
    two_disjoint_uplinks,
    split_and_rejoin,
    count_to_infinity,
    flapping_hub,
    restored_state,
    same_name_twice,
    revocation,
    revocation_by_another,
    late_starter,
    two_networks_joined,
    service_conflict,
    costs_of_each_end,
    one_way_silence,
    comes_and_goes,
}

struct Stage {
    network: VirtualNetwork,
    sites: BTreeMap<String, usize>,
    wires: BTreeMap<(usize, usize), usize>,
}

fn play(script: &str) {
    let network = VirtualNetwork::new(1, 16);
    let mut stage = Stage { network, sites: BTreeMap::new(), wires: BTreeMap::new() };
    let mut lines = script.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.split('#').next().unwrap().trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let mut due = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with('>')) {
            due.push(line[1..].trim().to_owned());
        }
        let printed = stage.command(&words);
        assert_eq!(printed, due, "line {}: {line}", number + 1);
    }
}

fn time(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap());
    let number: u64 = number.parse().unwrap();
    match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "min" => Duration::from_secs(60 * number),
        _ => panic!("{text}: ms, s or min"),
    }
}

impl Stage {
    fn command(&mut self, words: &[&str]) -> Vec<String> {
        match words {
            ["sites", names @ ..] => {
                for name in names {
                    self.sites.insert((*name).into(), self.network.site(name));
                }
            }
            ["edge", name] => {
                self.sites.insert((*name).into(), self.network.edge(name));
            }
            ["link", a, b, cost @ ..] => {
                let cost: Vec<u16> = cost.iter().map(|c| c.parse().unwrap()).collect();
                let costs = [*cost.first().unwrap_or(&1), *cost.last().unwrap_or(&1)];
                let ends = (self.site(a), self.site(b));
                self.wires.insert(ends, self.network.link_at(ends.0, ends.1, costs));
            }
            ["cost", a, b, cost] => {
                let cost = cost.parse().unwrap();
                self.network.cost(self.wire(a, b), [cost, cost]);
            }
            ["cut", a, b] => self.network.cut(self.wire(a, b)),
            ["mend", a, b] => self.network.mend(self.wire(a, b)),
            ["silence", a, b] => self.network.silence(self.wire(a, b), 0),
            ["crash", a] => self.network.crash(self.site(a)),
            ["restart", a] => self.network.restart(self.site(a), Memory::Kept),
            ["restore", a] => self.network.restart(self.site(a), Memory::Restored),
            ["wait", text] => self.network.run(time(text)),
            ["settle"] => drop(self.network.settle(Duration::from_secs(60))),
            ["right"] => self.network.check().unwrap(),
            ["flap", a, times, pause] => {
                for _ in 0..times.parse().unwrap() {
                    self.network.crash(self.site(a));
                    self.network.run(time(pause));
                    self.network.restart(self.site(a), Memory::Kept);
                    self.network.run(time(pause));
                }
            }
            _ => return self.words_of_sites(words),
        }
        Vec::new()
    }

    fn words_of_sites(&mut self, words: &[&str]) -> Vec<String> {
        match words {
            ["offer", a, address] => self.network.offer(self.site(a), address, 1),
            ["offer", a, address, "on", port] => {
                self.network.offer(self.site(a), address, 1);
                let port = Some(port.parse().unwrap());
                let last = |about: &mut van_routing::About| {
                    about.offers.last_mut().unwrap().service_port = port;
                };
                self.network.about(self.site(a), last);
            }
            ["name", a, name] => {
                self.network.about(self.site(a), |about| about.name = (*name).into());
            }
            ["admit", a, b] => self.network.admit(self.site(a), self.site(b)),
            ["forsake", a] => {
                self.network.trust(self.site(a), |trust| trust.vouchers.clear());
            }
            ["revoke" | "pardon", a, b] => {
                let id = self.network.id(self.site(b)).site;
                self.network.trust(self.site(a), |trust| {
                    *trust.revoked.entry(id).or_default() += 1;
                });
            }
            ["routes", a] => return self.routes(self.site(a)),
            ["services", a] => return self.services(self.site(a)),
            ["way", a, b] => {
                let way = self.network.routes(self.site(a)).path(self.network.id(self.site(b)));
                let names = way.unwrap().iter().map(|r| self.name(r)).collect::<Vec<_>>();
                return vec![names.join(" ")];
            }
            ["held", a] => {
                return vec![format!("{}", self.network.router(self.site(a)).held().records)];
            }
            ["said", a, "below", limit] => {
                let me = self.network.id(self.site(a));
                let routes = self.network.routes(self.site(a));
                let counter = routes.routers[&me].record.record.counter;
                assert!(counter < limit.parse().unwrap(), "{a} said {counter} records");
            }
            ["forget", "events"] => {
                for site in self.sites.clone().into_values() {
                    self.network.take_events(site);
                }
            }
            ["events", a] => {
                let events = self.network.take_events(self.site(a));
                return events.iter().map(|event| self.event(event)).collect();
            }
            _ => panic!("no such command: {words:?}"),
        }
        Vec::new()
    }

    fn site(&self, name: &str) -> usize {
        *self.sites.get(name).unwrap_or_else(|| panic!("no site {name}"))
    }

    fn wire(&self, a: &str, b: &str) -> usize {
        *self.wires.get(&(self.site(a), self.site(b))).unwrap_or_else(|| panic!("no link {a} {b}"))
    }

    fn name(&self, router: &RouterId) -> String {
        self.network.name(router.site).to_owned()
    }

    fn routes(&self, site: usize) -> Vec<String> {
        let routes = self.network.routes(site);
        let others = routes.routers.iter().filter(|(router, _)| **router != routes.me);
        let mut lines: Vec<String> = others
            .filter_map(|(router, node)| {
                let path = node.path.as_ref()?;
                let mut via: Vec<_> = path.next.iter().map(|r| self.name(r)).collect();
                via.sort();
                Some(format!("{} cost {} via {}", self.name(router), path.cost, via.join(" ")))
            })
            .collect();
        lines.sort();
        lines
    }

    fn services(&self, site: usize) -> Vec<String> {
        let routes = self.network.routes(site);
        let mut lines = Vec::new();
        for (address, service) in &routes.services {
            let mut at: Vec<_> = service.offers.keys().map(|r| self.name(r)).collect();
            at.sort();
            let conflict = if service.conflict.is_some() { ", conflict" } else { "" };
            lines.push(format!("{address} at {}{conflict}", at.join(" ")));
        }
        lines
    }

    fn event(&self, event: &RouterEvent) -> String {
        let name = |site: &van_model::SiteId| self.network.name(*site).to_owned();
        let names = |sites: &[van_model::SiteId]| {
            let mut names: Vec<_> = sites.iter().map(name).collect();
            names.sort();
            names.join(" ")
        };
        match event {
            RouterEvent::SiteAppeared { site, .. } => format!("{} appeared", name(site)),
            RouterEvent::SiteLeft { site, .. } => format!("{} left", name(site)),
            RouterEvent::SameName { name, sites } => {
                format!("{name} is the name of {}", names(sites))
            }
            RouterEvent::NetworksMerged { neighbour, here, there } => {
                let (here, there) = (names(here), names(there));
                format!("joined by {}: {here} and {there}", self.name(neighbour))
            }
            RouterEvent::NewEpoch { epoch, met } => format!("epoch {epoch} after {met}"),
            RouterEvent::Revoked { site, by } => format!("{} revoked {}", name(by), name(site)),
            RouterEvent::Pardoned { site, by } => format!("{} pardoned {}", name(by), name(site)),
            RouterEvent::RevocationIgnored { site, by } => {
                format!("{} may not revoke {}", name(by), name(site))
            }
            RouterEvent::ServiceConflict { address, .. } => format!("conflict of {address}"),
            other => format!("{other:?}"),
        }
    }
}
