//! From what is wanted to what runs: the difference is applied, the rest is not touched.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use van_config::Loaded;
use van_model::api::Source;
use van_model::{ConnectorSpec, LINK_PORT, LinkSpec, ListenerSpec, Mode};
use van_mux::GoAwayReason;
use van_net::{DialSpec, DialStatus, Dialler, Meter, Tasks};
use van_proxy::Listener;

use crate::blocking::blocking;
use crate::dials::{Dial, TokenFiles};
use crate::error::SiteError;
use crate::foreign;
use crate::listening::AcceptRun;
use crate::replaced::{Replaced, close};
use crate::site::Site;

/// A wanted resource and who wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted<S> {
    pub(crate) spec: S,
    pub(crate) source: Source,
    pub(crate) file: Option<String>,
}

/// A link that is being dialled.
pub(crate) struct LinkRun {
    pub(crate) wanted: Wanted<LinkSpec>,
    pub(crate) dial: DialSpec,
    pub(crate) status: watch::Receiver<DialStatus>,
    pub(crate) meter: Arc<Meter>,
    tasks: Tasks,
}

/// A listener that runs, or why it does not.
pub(crate) struct ListenerRun {
    pub(crate) wanted: Wanted<ListenerSpec>,
    pub(crate) listener: Result<Listener, String>,
}

/// What runs now.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) accepts: BTreeMap<SocketAddr, Result<AcceptRun, String>>,
    pub(crate) links: BTreeMap<String, LinkRun>,
    pub(crate) listeners: BTreeMap<String, ListenerRun>,
    pub(crate) connectors: BTreeMap<String, Wanted<ConnectorSpec>>,
    replaced: Replaced,
}

/// All that is wanted, of all sources: a file's resource goes before one of the same name that was
/// made over the API.
pub(crate) struct AllWanted {
    pub(crate) links: BTreeMap<String, Wanted<LinkSpec>>,
    pub(crate) listeners: BTreeMap<String, Wanted<ListenerSpec>>,
    pub(crate) connectors: BTreeMap<String, Wanted<ConnectorSpec>>,
    pub(crate) accept: Vec<SocketAddr>,
}

/// Time for flows of a link that is deleted, long enough for GOAWAY to be sent.
pub(crate) const DELETE_GRACE: Duration = Duration::from_millis(500);

/// Why a listener does not run that is about to.
const STARTING: &str = "it is being started";

impl Site {
    /// What is wanted now.
    pub(crate) fn wanted(&self, loaded: &Loaded) -> AllWanted {
        let file = |kind: &str, name: &str| {
            let key = format!("{kind}.{name}.name");
            loaded.origins.get(&key).file().map(ToOwned::to_owned)
        };
        let made = self.made.get();
        let mut connectors = merged(
            &loaded.config.connectors,
            made.connectors,
            |s| s.name.as_str(),
            |n| file("connector", n),
        );
        let mut links =
            merged(&loaded.config.links, made.links, |s| s.name.as_str(), |n| file("link", n));
        let mut listeners = merged(
            &loaded.config.listeners,
            made.listeners,
            |s| s.name.as_str(),
            |n| file("listener", n),
        );
        {
            let foreign = self.foreign.lock();
            add(&mut links, foreign::wanted(&foreign.links, |s| s.name.as_str()));
            add(&mut listeners, foreign::wanted(&foreign.listeners, |s| s.name.as_str()));
            add(&mut connectors, foreign::wanted(&foreign.connectors, |s| s.name.as_str()));
        }
        self.with_labelled(&loaded.config.podman, &mut connectors);
        AllWanted {
            connectors,
            links,
            listeners,
            accept: match &loaded.config.accept {
                Some(accept) => accept.listen.clone(),
                None if made.accept && loaded.config.site.mode == Mode::Interior => {
                    vec![(Ipv6Addr::UNSPECIFIED, LINK_PORT).into()]
                }
                None => Vec::new(),
            },
        }
    }

    /// Applies a new configuration; on an error the old one goes on as it was.
    ///
    /// Returns what changed, as `link/NAME`.
    pub fn apply(&self, loaded: Loaded) -> Result<Vec<String>, SiteError> {
        let old = self.loaded.lock().clone();
        if loaded.config.identity != old.config.identity {
            return Err(SiteError::NeedsRestart("[identity]"));
        }
        if loaded.config.api != old.config.api {
            return Err(SiteError::NeedsRestart("[api]"));
        }
        if loaded.config.metrics != old.config.metrics {
            return Err(SiteError::NeedsRestart("[metrics]"));
        }
        if loaded.config.tracing != old.config.tracing {
            return Err(SiteError::NeedsRestart("[tracing]"));
        }
        if loaded.config.limits != old.config.limits {
            return Err(SiteError::NeedsRestart("[limits]"));
        }
        let wanted = self.wanted(&loaded);
        let dials = self.prepare_links(&wanted.links, TokenFiles::ReadAgain)?;
        if loaded.config.log != old.config.log
            && let Err(why) = (self.environment.set_log)(&loaded.config.log.level)
        {
            tracing::warn!(why, "log.level is not changed");
        }
        let config = &loaded.config;
        self.links.set_local(|local| {
            local.name = config.site.name.to_string();
            local.mode = config.site.mode;
        });
        let site_changed = loaded.config.site != old.config.site;
        *self.loaded.lock() = loaded;
        let mut changed = self.run_wanted(wanted, dials);
        if site_changed {
            changed.push("site".into());
        }
        self.mailbox.ring();
        Ok(changed)
    }

    /// Applies what is wanted with the configuration that stands.
    pub(crate) fn reconcile(&self) -> Result<Vec<String>, SiteError> {
        let loaded = self.loaded.lock().clone();
        let wanted = self.wanted(&loaded);
        let dials = self.prepare_links(&wanted.links, TokenFiles::AsTheyWere)?;
        let changed = self.run_wanted(wanted, dials);
        self.mailbox.ring();
        Ok(changed)
    }

    /// Makes the difference. Only binding can fail, and that is tried again.
    fn run_wanted(&self, wanted: AllWanted, mut dials: BTreeMap<String, Dial>) -> Vec<String> {
        let mut changed = Vec::new();
        self.forget_link_peers(&wanted.links);
        dials.values().for_each(|dial| self.keep_link_peer(dial));
        let mut running = self.running.lock();
        let stopped = running.drop_unwanted(self, &wanted, &dials, &mut changed);
        for (name, wanted) in wanted.connectors {
            if running.connectors.get(&name) != Some(&wanted) {
                self.connectors.set(wanted.spec.clone());
                changed.push(format!("connector/{name}"));
                running.connectors.insert(name, wanted);
            }
        }
        for (name, wanted) in wanted.links {
            if let Some(dial) = dials.remove(&name) {
                changed.push(format!("link/{name}"));
                running.links.insert(name, self.start_link(wanted, dial.spec));
            }
        }
        let listeners: Vec<_> = wanted
            .listeners
            .into_iter()
            .filter(|(name, _)| !running.listeners.contains_key(name))
            .collect();
        for (name, wanted) in &listeners {
            let run = ListenerRun { wanted: wanted.clone(), listener: Err(STARTING.into()) };
            running.listeners.insert(name.clone(), run);
        }
        for address in wanted.accept {
            running.accepts.entry(address).or_insert_with(|| {
                changed.push(format!("accept/{address}"));
                self.start_accept(address)
            });
        }
        // What follows may wait for a name service or a worker; who reads does not.
        drop(running);
        blocking(|| stopped.into_iter().for_each(Listener::stop));
        for (name, wanted) in listeners {
            let listener = self.start_listener(&wanted.spec);
            changed.push(format!("listener/{name}"));
            self.running.lock().listeners.insert(name, ListenerRun { wanted, listener });
        }
        // What was stopped and started again is one change.
        changed.sort();
        changed.dedup();
        changed
    }

    fn start_link(&self, wanted: Wanted<LinkSpec>, dial: DialSpec) -> LinkRun {
        let tasks = self.tasks.child();
        let (status, meter) = Dialler::start(self.links.clone(), dial.clone(), self.arc(), &tasks);
        LinkRun { wanted, dial, status, meter, tasks }
    }

    /// Lets changed links' old connections drain once the new ones are up.
    pub(crate) fn drain_replaced(&self) {
        let links = self.links.all();
        let running = &mut *self.running.lock();
        running.replaced.drain(Instant::now(), &running.links, &links);
    }

    /// Whether a changed link's old connections are still to drain.
    pub(crate) fn has_replaced(&self) -> bool {
        !self.running.lock().replaced.is_empty()
    }

    /// Whether something could not be bound.
    pub(crate) fn has_unbound(&self) -> bool {
        let running = self.running.lock();
        running.listeners.values().any(|run| run.listener.is_err())
            || running.accepts.values().any(Result::is_err)
    }

    /// Tries again to bind what could not be bound.
    pub(crate) fn retry_binds(&self) {
        // While the wanted state is changed, that is about to do the same.
        let Ok(_changing) = self.changing.try_lock() else { return };
        let (listeners, accepts) = {
            let running = self.running.lock();
            let listeners = running.listeners.values().filter(|run| run.listener.is_err());
            let accepts = running.accepts.iter().filter(|(_, run)| run.is_err());
            let listeners: Vec<_> = listeners.map(|run| run.wanted.spec.clone()).collect();
            (listeners, accepts.map(|(address, _)| *address).collect::<Vec<_>>())
        };
        for spec in listeners {
            let listener = self.start_listener(&spec);
            if let Some(run) = self.running.lock().listeners.get_mut(spec.name.as_str()) {
                run.listener = listener;
            }
        }
        for address in accepts {
            let run = self.start_accept(address);
            self.running.lock().accepts.insert(address, run);
        }
    }
}

impl Running {
    /// Stops what is not wanted any more, or is wanted differently, but for the listeners that it
    /// returns: stopping them waits for their workers.
    fn drop_unwanted(
        &mut self,
        site: &Site,
        wanted: &AllWanted,
        dials: &BTreeMap<String, Dial>,
        changed: &mut Vec<String>,
    ) -> Vec<Listener> {
        let links = wanted.links.iter().map(|(n, w)| (n, &w.spec)).collect::<BTreeMap<_, _>>();
        let gone: Vec<String> = self
            .links
            .iter()
            .filter(|(name, run)| {
                dials.contains_key(*name) || links.get(name) != Some(&&run.wanted.spec)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            let Some(run) = self.links.remove(&name) else { continue };
            run.tasks.cancel();
            if dials.get(&name).is_some_and(|dial| dial.spec.peer == run.dial.peer) {
                self.replaced.keep(&name, &run);
            } else {
                let mut meters = self.replaced.take(&name);
                meters.push(run.meter);
                close(&site.links.all(), &meters, GoAwayReason::Deleted, DELETE_GRACE);
            }
            changed.push(format!("link/{name}"));
        }
        for (name, run) in &mut self.listeners {
            // Where only the way changes, the place and its clients stay.
            if let (Some(wanted), Ok(listener)) = (wanted.listeners.get(name), &run.listener)
                && wanted.spec != run.wanted.spec
                && listener.redirect(&wanted.spec)
            {
                run.wanted = wanted.clone();
                changed.push(format!("listener/{name}"));
            }
        }
        let gone: Vec<String> = self
            .listeners
            .iter()
            .filter(|(name, run)| {
                wanted.listeners.get(*name).map(|w| &w.spec) != Some(&run.wanted.spec)
            })
            .map(|(name, _)| name.clone())
            .collect();
        let mut stopped = Vec::new();
        for name in gone {
            let run = self.listeners.remove(&name);
            stopped.extend(run.and_then(|run| run.listener.ok()));
            changed.push(format!("listener/{name}"));
        }
        self.connectors.retain(|name, old| {
            let keep = wanted.connectors.contains_key(name);
            if !keep {
                site.connectors.remove(&old.spec.name);
                changed.push(format!("connector/{name}"));
            }
            keep
        });
        self.accepts.retain(|address, _| {
            let keep = wanted.accept.contains(address);
            if !keep {
                changed.push(format!("accept/{address}"));
            }
            keep
        });
        stopped
    }

    /// Stops taking new flows and links, but for the listeners that it returns.
    pub(crate) fn stop_taking(&mut self) -> Vec<Listener> {
        for run in self.links.values() {
            run.tasks.cancel();
        }
        self.accepts.clear();
        let listeners = std::mem::take(&mut self.listeners).into_values();
        listeners.filter_map(|run| run.listener.ok()).collect()
    }
}

/// Adds what is not there yet by name.
fn add<S>(all: &mut BTreeMap<String, Wanted<S>>, more: impl Iterator<Item = (String, Wanted<S>)>) {
    for (name, wanted) in more {
        all.entry(name).or_insert(wanted);
    }
}

fn merged<S: Clone>(
    files: &[S],
    made: BTreeMap<String, S>,
    name: impl Fn(&S) -> &str,
    file: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, Wanted<S>> {
    let made = made
        .into_iter()
        .map(|(name, spec)| (name, Wanted { spec, source: Source::Api, file: None }));
    let files = files.iter().map(|spec| {
        let file = file(name(spec));
        (name(spec).to_owned(), Wanted { spec: spec.clone(), source: Source::File, file })
    });
    made.chain(files).collect()
}

#[cfg(test)]
mod tests;
