//! This site at a glance, and conditions that remember since when they hold.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use van_model::status::{LinkState, SiteStatus, Warning};
use van_model::{Conditions, api};

use crate::clock;
use crate::replicas::is_within;
use crate::site::Site;

/// What is true of a resource now.
pub(crate) struct Lasting {
    ready: bool,
    reason: &'static str,
    message: String,
}

/// Shorthand for the condition that every resource has.
pub(crate) fn ready(ready: bool, reason: &'static str, message: &str) -> Lasting {
    Lasting { ready, reason, message: message.to_owned() }
}

/// Conditions by resource, so that their times last from one look to the next.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<BTreeMap<String, Conditions>>);

/// Resources remembered; when more were seen, all start anew.
const MAX_REMEMBERED: usize = 100_000;

impl Remembered {
    pub(crate) fn state(&self, key: &str, lasting: &Lasting) -> Conditions {
        let mut all = self.0.lock();
        if all.len() > MAX_REMEMBERED {
            all.clear();
        }
        let conditions = all.entry(key.to_owned()).or_default();
        conditions.set_ready(clock::now(), lasting.ready, lasting.reason, &lasting.message);
        conditions.clone()
    }
}

impl Site {
    pub(crate) fn conditions(&self, key: &str, lasting: &Lasting) -> Conditions {
        self.remembered.state(key, lasting)
    }

    /// This site at a glance.
    pub fn glance(&self) -> SiteStatus {
        let links = self.link_resources();
        let mut up = self.links.all();
        up.retain(|link| !is_within(self.own_id(), link));
        let routes = self.map.routes();
        let others =
            routes.routers.iter().filter(|(r, n)| r.site != self.own_id() && n.path.is_some());
        let reached: BTreeSet<_> = others.map(|(router, _)| router.site).collect();
        let offers = self.connectors.offers();
        let config = self.loaded.lock().config.clone();
        let warnings = self.warnings(&links);
        let imported = self.imports.usable();
        let (used, configured) = {
            let running = self.running.lock();
            let listeners =
                running.listeners.values().flat_map(|run| run.wanted.spec.all_addresses());
            let used: BTreeSet<_> = listeners.chain(imported).collect();
            (used.len(), running.links.len())
        };
        let lasting = if warnings.is_empty() {
            ready(true, "Running", "")
        } else {
            let plural = if warnings.len() == 1 { "" } else { "s" };
            ready(true, "Degraded", &format!("{} warning{plural}", warnings.len()))
        };
        SiteStatus {
            name: config.site.name.to_string(),
            id: self.own_id(),
            mode: config.site.mode,
            platform: match self.environment.namespace {
                Some(_) => "kubernetes".into(),
                None => "host".into(),
            },
            namespace: self.environment.namespace.clone(),
            version: self.environment.version.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            accepting: self.accepting().iter().map(ToString::to_string).collect(),
            links_up: links.iter().filter(|l| l.status.state == LinkState::Connected).count(),
            links_configured: configured,
            sites_reached: reached.len(),
            services_offered: offers.values().filter(|o| o.targets > 0).count(),
            services_used: used,
            flows_open: up.iter().map(|l| l.meter.open.get()).sum::<u64>()
                + self.services.local_flows(self.own_id()),
            warnings,
            conditions: self.conditions("site", &lasting),
        }
    }

    fn warnings(&self, links: &[api::LinkResource]) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (address, run) in &self.running.lock().accepts {
            if let Err(why) = run {
                let hint = format!("free the port ('ss -ltnp') or change accept.listen: {address}");
                warnings.push(Warning {
                    subject: "accept".into(),
                    message: why.clone(),
                    hint: Some(hint),
                });
            }
        }
        for link in links.iter().filter(|l| l.status.state == LinkState::Failed) {
            warnings.push(Warning {
                subject: format!("link/{}", link.name),
                message: link.status.reason.clone().unwrap_or_else(|| "it is not up".into()),
                hint: link.status.hint.clone(),
            });
        }
        for connector in self.connector_resources() {
            let condition = connector.status.conditions.get("Ready");
            if let Some(c) = condition.filter(|c| c.reason == "Unhealthy") {
                warnings.push(Warning {
                    subject: format!("connector/{}", connector.name),
                    message: format!("target {}: {}", connector.spec.target, c.message),
                    hint: Some("start the workload or correct the target".into()),
                });
            }
        }
        for listener in self.listener_resources() {
            let condition = listener.status.conditions.get("Ready");
            if let Some(c) = condition.filter(|c| c.reason == "BindFailed") {
                warnings.push(Warning {
                    subject: format!("listener/{}", listener.name),
                    message: c.message.clone(),
                    hint: Some("free the place or choose another bind; it is tried again".into()),
                });
            }
        }
        for podman in self.podman.state().snapshots {
            warnings.extend(podman.trouble.as_ref().map(|why| Warning {
                subject: format!("podman{}", podman.socket.display()),
                message: format!("podman can't be asked, what is known of it stays: {why}"),
                hint: Some("'vanctl explain PodmanAway'; it is tried again".into()),
            }));
        }
        warnings.extend(self.state_warning());
        warnings
    }

    /// A state directory that can't be written: all goes on, but nothing new would last.
    fn state_warning(&self) -> Option<Warning> {
        self.state_problem.lock().as_ref().map(|why| Warning {
            subject: "state".into(),
            message: why.clone(),
            hint: Some("free space or make the file system writable; it is tried again".into()),
        })
    }
}
