//! Where imported services have their addresses, and the name server for them.
//!
//! Nothing is done before the first service is to appear: a fresh site listens nowhere. Then the
//! configured network is made this host's own; without the right to do so, a part of 127.0.0.0/8
//! serves, which is the host's own anyway but which containers can't reach.

use std::net::{Ipv4Addr, SocketAddr};

use ipnet::Ipv4Net;
use parking_lot::Mutex;
use tracing::warn;
use van_dns::{DnsError, DnsServer, Entry, Zone};
use van_host::{Registration, Subnet, SubnetError};
use van_model::ServicesSpec;
use van_model::api::Severity;

use crate::site::Site;

/// A part of 127.0.0.0/8 that nothing else is known to use.
const FALLBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 77, 0, 0), 16);

/// Where names are asked, and the port that is taken instead where that is not allowed; containers
/// know the first alone.
const PORTS: [u16; 2] = [53, 8253];

/// The ground on which names stand, once it is looked for.
#[derive(Default)]
pub(crate) struct Naming(Mutex<State>);

#[derive(Default)]
struct State {
    /// For which domain and network it was looked.
    wanted: Option<(String, Ipv4Net)>,
    ground: Option<Ground>,
    serial: u32,
    entries: Vec<(String, Entry)>,
}

struct Ground {
    network: Ipv4Net,
    /// Why it is not the configured one.
    instead: Option<String>,
    subnet: Option<Subnet>,
    /// The name server; `None` where names are not wanted.
    server: Result<Option<DnsServer>, String>,
}

/// Names and addresses as status and check show them.
#[derive(Debug, Clone)]
pub(crate) struct NamingState {
    pub(crate) network: Ipv4Net,
    /// Why it is not the configured one.
    pub(crate) instead: Option<String>,
    /// Where names are answered, and how many; `None` where they are not wanted.
    pub(crate) server: Result<Option<(SocketAddr, usize)>, String>,
}

impl Naming {
    pub(crate) fn state(&self) -> Option<NamingState> {
        let state = self.0.lock();
        let ground = state.ground.as_ref()?;
        let shown = |server: &DnsServer| (server.place(), server.names());
        let server = match &ground.server {
            Ok(server) => Ok(server.as_ref().map(shown)),
            Err(why) => Err(why.clone()),
        };
        let (network, instead) = (ground.network, ground.instead.clone());
        Some(NamingState { network, instead, server })
    }
}

impl Site {
    /// The network of imported services' addresses; `None` while it is looked for, after which the
    /// site's bell rings.
    pub(crate) fn ground(&self, wanted: &ServicesSpec) -> Option<Ipv4Net> {
        let key = (wanted.domain.clone(), wanted.subnet);
        let mut state = self.naming.0.lock();
        if state.wanted.as_ref() == Some(&key) {
            return state.ground.as_ref().map(|ground| ground.network);
        }
        state.wanted = Some(key.clone());
        let old = state.ground.take();
        drop(state);
        let site = self.arc();
        self.tasks.spawn("names", async move { site.find_ground(key, old).await });
        None
    }

    async fn find_ground(&self, wanted: (String, Ipv4Net), old: Option<Ground>) {
        if let Some(old) = old {
            self.leave(old).await;
        }
        let (domain, subnet) = &wanted;
        let ground = match self.configured_ground(domain, *subnet).await {
            Ok(ground) => ground,
            Err((severity, why)) => {
                let text = format!("services appear in {FALLBACK}, on this host only: {why}");
                self.event(severity, "SubnetNotUsed", "services/subnet".into(), text);
                let server = self.name_server(domain, FALLBACK, &[PORTS[0], PORTS[1], 0]);
                let server = server.map_err(|error| self.tell_nameless(&error));
                Ground { network: FALLBACK, instead: Some(why), subnet: None, server }
            }
        };
        if let Ok(Some(server)) = &ground.server {
            self.tell_host(domain, ground.network, server);
        }
        let superseded = {
            let mut state = self.naming.0.lock();
            if state.wanted.as_ref() == Some(&wanted) {
                state.ground = Some(ground);
                None
            } else {
                Some(ground)
            }
        };
        if let Some(ground) = superseded {
            self.leave(ground).await;
        }
        self.mailbox.ring();
    }

    /// The configured network, where this site can have it for itself: who has its name server's
    /// address has all of it.
    async fn configured_ground(
        &self,
        domain: &str,
        network: Ipv4Net,
    ) -> Result<Ground, (Severity, String)> {
        let ground = |subnet, server| Ground { network, instead: None, subnet, server };
        if network.network().is_loopback() {
            let server = self.name_server(domain, network, &[PORTS[0], PORTS[1], 0]);
            return Ok(ground(None, server.map_err(|e| self.tell_nameless(&e))));
        }
        let taken = Subnet::take(network, self.environment.runtime_dir.as_deref()).await;
        let subnet = taken.map_err(|error| match error {
            SubnetError::Forbidden { .. } => (Severity::Info, error.to_string()),
            _ => (Severity::Warning, error.to_string()),
        })?;
        match self.name_server(domain, network, &PORTS) {
            Err(error) if error.is_in_use() => {
                let why = format!("{network} belongs to another site of this host: {error}");
                self.leave(ground(Some(subnet), Ok(None))).await;
                Err((Severity::Warning, why))
            }
            server => {
                let server = server.map_err(|e| self.tell_nameless(&e));
                Ok(ground(Some(subnet), server))
            }
        }
    }

    /// Starts the name server at the network's first address and the first port that can be had; one
    /// that another program has is passed over only where the network is nobody's own.
    fn name_server(
        &self,
        domain: &str,
        network: Ipv4Net,
        ports: &[u16],
    ) -> Result<Option<DnsServer>, DnsError> {
        let address = name_server(network);
        let zone = Zone::new(domain, network, address, 0);
        let Some(zone) = zone.filter(|_| self.environment.runtime_dir.is_some()) else {
            return Ok(None);
        };
        let mut failed = None;
        for port in ports {
            match DnsServer::start((address, *port).into(), zone.clone()) {
                Ok((started, work)) => {
                    self.tasks.spawn("name server", work);
                    return Ok(Some(started));
                }
                Err(error) if error.is_in_use() && !network.network().is_loopback() => {
                    return Err(error);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn tell_nameless(&self, error: &DnsError) -> String {
        let why = error.to_string();
        self.event(Severity::Warning, "NoNames", "services/domain".into(), why.clone());
        why
    }

    fn tell_host(&self, domain: &str, network: Ipv4Net, server: &DnsServer) {
        let (Some(runtime_dir), SocketAddr::V4(place)) =
            (&self.environment.runtime_dir, server.place())
        else {
            return;
        };
        let (server, port) = (*place.ip(), place.port());
        let wish = Registration { domain: domain.to_owned(), server, port, network };
        if let Err(error) = wish.write(runtime_dir) {
            warn!(%error, "the host is not told of the name server");
        }
    }

    /// Answers names from these services from now on.
    pub(crate) fn publish_names(&self, entries: Vec<(String, Entry)>) {
        let mut state = self.naming.0.lock();
        let state = &mut *state;
        let (Some(ground), Some((domain, _))) = (&state.ground, &state.wanted) else { return };
        let Ok(Some(server)) = &ground.server else { return };
        if entries == state.entries && server.names() > 0 {
            return;
        }
        state.serial = state.serial.wrapping_add(1);
        let own = name_server(ground.network);
        if let Some(mut zone) = Zone::new(domain, ground.network, own, state.serial) {
            for (name, entry) in &entries {
                zone.insert(name, entry.clone());
            }
            server.publish(zone);
        }
        state.entries = entries;
    }

    async fn leave(&self, ground: Ground) {
        let was_told = matches!(ground.server, Ok(Some(_)));
        drop(ground.server);
        if let (true, Some(runtime_dir)) = (was_told, &self.environment.runtime_dir)
            && let Err(error) = Registration::withdraw(runtime_dir)
        {
            warn!(%error, "the host is not told that the name server ends");
        }
        if let Some(subnet) = ground.subnet {
            leave_route(subnet).await;
        }
    }

    /// Takes everything away from the host again.
    pub(crate) async fn stop_naming(&self) {
        let ground = self.naming.0.lock().ground.take();
        if let Some(ground) = ground {
            self.leave(ground).await;
        }
        // A run that crashed may have left what this one had no use for.
        let left = self.environment.runtime_dir.as_deref().and_then(Subnet::left_in);
        if let Some(left) = left {
            leave_route(left).await;
        }
    }
}

async fn leave_route(subnet: Subnet) {
    if let Err(error) = subnet.leave().await {
        warn!(%error, "a route stays behind");
    }
}

/// The first address of a network is the name server's.
fn name_server(network: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from_bits(network.network().to_bits() + 1)
}
