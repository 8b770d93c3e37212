//! Services of the network that appear here by themselves, each at an address of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use parking_lot::Mutex;
use tracing::warn;
use van_dns::Entry;
use van_model::api::Severity;
use van_model::{Address, Bind, ListenerSpec, Name, Protocol};
use van_net::Tasks;
use van_proxy::{Listener, ListenerError, ListenerState};
use van_routing::{Routes, ServiceOffers};
use van_store::{Store, StoreError};
use wildmatch::WildMatch;

use crate::resources::Kept;
use crate::site::Site;

/// The document that keeps which service has which address.
const DOCUMENT: &str = "imports";

/// Services that appear here at once, and places that are remembered: fewer than the network has
/// addresses, so that a free one is found soon.
const MAX_IMPORTS: usize = 10_000;

/// Imports that are begun in one turn of the site; each takes some system calls.
const MAX_AT_ONCE: usize = 200;

/// Other addresses that are tried where another program listens at a service's own.
const MORE_TRIES: usize = 3;

/// Time for which a service that nobody offers keeps its place.
const KEPT: Duration = Duration::from_secs(600);

/// Imported services and their places.
pub(crate) struct Imports {
    places: Kept<BTreeMap<String, Ipv4Addr>>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    running: BTreeMap<Address, Import>,
    /// The globs that were last looked at, and the version of the routes, once all that follows
    /// from both is done.
    seen: Option<(Option<u64>, Vec<String>)>,
    /// The network in which they are.
    network: Option<Ipv4Net>,
    /// Services for which the network has no address left.
    without: usize,
}

struct Import {
    place: SocketAddr,
    protocol: Protocol,
    listener: Result<Listener, String>,
    /// Since when nobody offers it.
    gone: Option<Instant>,
}

/// An imported service as status shows it.
pub(crate) struct ImportState {
    pub(crate) address: Address,
    pub(crate) place: SocketAddr,
    pub(crate) state: Result<ListenerState, String>,
}

impl Inner {
    /// The names of what is here, each with all its ports.
    fn names(&self) -> Vec<(String, Entry)> {
        let mut names: BTreeMap<&str, Entry> = BTreeMap::new();
        for (address, import) in &self.running {
            let (IpAddr::V4(ip), port) = (import.place.ip(), import.place.port()) else { continue };
            let entry = names.entry(address.name());
            let (ports, datagram_ports) = Default::default();
            let entry = entry.or_insert(Entry { address: ip, ports, datagram_ports });
            match import.protocol {
                Protocol::Udp => entry.datagram_ports.push(port),
                _ => entry.ports.push(port),
            }
        }
        names.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect()
    }
}

impl Imports {
    pub(crate) fn load(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { places: Kept::load(store, DOCUMENT)?, inner: Mutex::default() })
    }

    /// What is imported now, in address order.
    pub(crate) fn all(&self) -> Vec<ImportState> {
        let inner = self.inner.lock();
        let show = |(address, import): (&Address, &Import)| ImportState {
            address: address.clone(),
            place: import.place,
            state: import.listener.as_ref().map(Listener::state).map_err(Clone::clone),
        };
        inner.running.iter().map(show).collect()
    }

    /// The services that somebody offers now and that have a place here.
    pub(crate) fn usable(&self) -> Vec<Address> {
        let inner = self.inner.lock();
        let usable = |import: &Import| import.gone.is_none() && import.listener.is_ok();
        let usable = inner.running.iter().filter(|(_, import)| usable(import));
        usable.map(|(address, _)| address.clone()).collect()
    }

    /// Whether any has no port yet.
    pub(crate) fn has_unbound(&self) -> bool {
        self.inner.lock().running.values().any(|import| import.listener.is_err())
    }

    /// Stops all; open flows go on.
    pub(crate) fn stop(&self) {
        self.inner.lock().running.clear();
    }

    /// The addresses of services: those that they had, else free ones, the same on every site as far
    /// as may be. Written once for all that are new. Where too many are remembered, those go that are
    /// neither asked for nor `running`.
    fn addresses_of(
        &self,
        store: &Store,
        network: Ipv4Net,
        names: &BTreeSet<String>,
        running: &BTreeSet<String>,
    ) -> BTreeMap<String, Ipv4Addr> {
        let mut places = self.places.get();
        places.retain(|_, address| network.contains(&*address));
        let fresh = names.iter().filter(|name| !places.contains_key(*name)).count();
        if places.len() + fresh > MAX_IMPORTS {
            places.retain(|name, _| names.contains(name) || running.contains(name));
        }
        let mut taken: BTreeSet<Ipv4Addr> = places.values().copied().collect();
        for name in names {
            if places.contains_key(name) || places.len() >= MAX_IMPORTS {
                continue;
            }
            let mut order = places_from(network, hash(name));
            if let Some(free) = order.find(|address| taken.insert(*address)) {
                places.insert(name.clone(), free);
            }
        }
        if fresh > 0 {
            let kept = self.places.change(store, |kept| kept.clone_from(&places));
            if let Err(error) = kept {
                warn!(%error, "the addresses of imported services are not kept");
            }
        }
        places.retain(|name, _| names.contains(name));
        places
    }

    /// Gives a service the next free address after the one that it has.
    fn next_address(&self, store: &Store, network: Ipv4Net, address: &Address) -> Option<Ipv4Addr> {
        let mut places = self.places.get();
        let taken: BTreeSet<Ipv4Addr> = places.values().copied().collect();
        let now = places.get(address.name()).copied();
        let order = places_from(network, hash(address.name()));
        let mut after = order.skip_while(|place| Some(*place) != now);
        let next = after.find(|place| !taken.contains(place))?;
        places.insert(address.name().to_owned(), next);
        if let Err(error) = self.places.change(store, |kept| *kept = places) {
            warn!(%error, "the addresses of imported services are not kept");
        }
        Some(next)
    }
}

/// Where the search for a name's address begins.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The addresses of a network for services, each once, from one on that `hash` tells: without its
/// first and last, which look like the network's own, and the name server's. At most 65,533.
fn places_from(network: Ipv4Net, hash: u64) -> impl Iterator<Item = Ipv4Addr> {
    let base = network.network().to_bits();
    let count = (1_u64 << (32 - network.prefix_len()).min(16)) - 3;
    let at = move |n: u64| u32::try_from(2 + n % count).expect("a count of 16 bits");
    (0..count).map(move |n| Ipv4Addr::from_bits(base + at((hash % count) + n)))
}

/// The port under which a service appears: its name's, an explicit one, the one that it has `now`
/// while a target is there, else the lowest of its targets.
pub(crate) fn port(address: &Address, service: &ServiceOffers, now: Option<u16>) -> Option<u16> {
    let offers = || service.offers.values();
    let explicit = address.port().or_else(|| offers().filter_map(|o| o.service_port).min());
    let targets = || offers().filter_map(|o| o.target_port);
    explicit.or_else(|| now.filter(|now| targets().any(|port| port == *now))).or(targets().min())
}

/// What is to be imported: what others offer and a glob fits, and the port of each. `now` tells the
/// port of what is here already.
fn wanted(
    routes: &Routes,
    globs: &[String],
    now: impl Fn(&Address) -> Option<u16>,
) -> BTreeMap<Address, (u16, Protocol)> {
    let globs: Vec<WildMatch> = globs.iter().map(|glob| WildMatch::new(glob)).collect();
    let fits = |address: &Address| {
        globs.iter().any(|g| g.matches(address.as_str()) || g.matches(address.name()))
    };
    let offered = routes.services.iter().filter(|(address, service)| {
        // What only this site offers is here already, often on the very port.
        service.offers.keys().any(|router| router.site != routes.me.site)
            && service.conflict.is_none()
            && fits(address)
    });
    let with_port = offered.filter_map(|(a, service)| {
        // Without a conflict all offers have the same.
        let protocol = service.offers.values().next()?.protocol;
        Some((a.clone(), (port(a, service, now(a))?, protocol)))
    });
    with_port.take(MAX_IMPORTS).collect()
}

impl Site {
    /// Makes listeners for what is to appear here, and takes those away that are not.
    ///
    /// A service that nobody offers any more keeps its place for a while: it refuses then, and nobody
    /// else can take it before the service is back.
    pub(crate) fn sync_imports(&self) {
        let routes = self.map.routes();
        let services = self.loaded.lock().config.services.clone();
        let seen = (Some(routes.version), services.import.clone());
        let mut inner = self.imports.inner.lock();
        let network = match inner.network {
            // A fresh site listens nowhere: the network is looked for when there is a service.
            None if wanted(&routes, &seen.1, |_| None).is_empty() => None,
            _ => match self.ground(&services) {
                Some(network) => Some(network),
                None => return,
            },
        };
        if inner.network != network {
            inner.running.clear();
            inner.network = network;
            inner.seen = None;
        }
        if inner.seen.as_ref() == Some(&seen) || self.tasks.is_cancelled() {
            return;
        }
        let Some(network) = network else {
            inner.seen = Some(seen);
            return;
        };
        let now = |address: &Address| inner.running.get(address).map(|i| i.place.port());
        let wanted = wanted(&routes, &seen.1, now);
        let same_globs = inner.seen.as_ref().is_some_and(|(_, globs)| *globs == seen.1);
        inner.running.retain(|address, import| match wanted.get(address) {
            Some(as_wanted) => {
                import.gone = None;
                *as_wanted == (import.place.port(), import.protocol)
            }
            None => {
                let gone = import.gone.get_or_insert_with(Instant::now);
                same_globs && import.listener.is_ok() && gone.elapsed() < KEPT
            }
        });
        let mut fresh: BTreeMap<Address, (u16, Protocol)> =
            wanted.into_iter().filter(|(a, _)| !inner.running.contains_key(a)).collect();
        // More than that come in the next turns, so that the site goes on with its other work.
        let rest = fresh.keys().nth(MAX_AT_ONCE).cloned().map(|first| fresh.split_off(&first));
        let all_done = rest.is_none();
        inner.seen = Some((seen.0.filter(|_| all_done), seen.1));
        if !all_done {
            self.mailbox.ring();
        }
        let names = fresh.keys().map(|address| address.name().to_owned()).collect();
        let running = inner.running.keys().map(|address| address.name().to_owned()).collect();
        let places = self.imports.addresses_of(&self.store, network, &names, &running);
        let mut without = 0;
        for (address, (port, protocol)) in fresh {
            let Some(ip) = places.get(address.name()) else {
                without += 1;
                continue;
            };
            let alone = !running.contains(address.name());
            let mut place = SocketAddr::new(IpAddr::V4(*ip), port);
            let mut listener = self.import(&address, place, protocol);
            // Another program may have just this address: that of another site, for instance.
            for _ in 0..MORE_TRIES {
                if !alone || !listener.as_ref().is_err_and(|e| e.code() == "AddressInUse") {
                    break;
                }
                let Some(ip) = self.imports.next_address(&self.store, network, &address) else {
                    break;
                };
                place.set_ip(IpAddr::V4(ip));
                listener = self.import(&address, place, protocol);
            }
            let listener = listener.map_err(|e| e.to_string());
            if let Err(why) = &listener {
                let text = format!("service {address} can't appear at {place}: {why}");
                let subject = format!("service/{address}");
                self.event(Severity::Warning, "ImportFailed", subject, text);
            }
            inner.running.insert(address, Import { place, protocol, listener, gone: None });
        }
        if without > inner.without {
            let text = format!("{without} services don't appear: {network} has no address left");
            self.event(Severity::Warning, "ImportFailed", "services/subnet".into(), text);
        }
        inner.without = without;
        self.publish_names(inner.names());
    }

    /// Tries again to bind what could not be bound.
    pub(crate) fn retry_imports(&self) {
        let mut inner = self.imports.inner.lock();
        for (address, import) in &mut inner.running {
            if import.listener.is_err() {
                let listener = self.import(address, import.place, import.protocol);
                import.listener = listener.map_err(|e| e.to_string());
            }
        }
    }

    fn import(
        &self,
        address: &Address,
        place: SocketAddr,
        protocol: Protocol,
    ) -> Result<Listener, ListenerError> {
        let name = Name::from_lossy(address.as_str()).expect("an address has letters or digits");
        let mut spec = ListenerSpec::new(name, address.clone(), Bind::Tcp(place.into()));
        spec.protocol = protocol;
        let mailbox = self.mailbox.clone();
        let changed = std::sync::Arc::new(move || mailbox.ring());
        let worker: &Tasks = self.workers.get(self.workers.next());
        Listener::start(spec, self.dispatcher.clone(), worker, changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 77, 0, 0), 16);

    #[test]
    fn a_service_keeps_its_address_and_no_two_share_one() {
        let store = Store::in_memory();
        let imports = Imports::load(&store).unwrap();
        let names: BTreeSet<String> = (0..2000).map(|n| format!("service-{n}")).collect();
        let places = imports.addresses_of(&store, NET, &names, &BTreeSet::new());
        assert_eq!(places.len(), 2000);
        assert_eq!(places.values().collect::<BTreeSet<_>>().len(), 2000, "one address twice");
        assert!(places.values().all(|address| NET.contains(address)));
        let again = Imports::load(&store).unwrap();
        assert_eq!(again.addresses_of(&store, NET, &names, &BTreeSet::new()), places);
        let one = BTreeSet::from(["service-0".to_owned()]);
        let fresh = Imports::load(&Store::in_memory()).unwrap();
        let alone = fresh.addresses_of(&Store::in_memory(), NET, &one, &BTreeSet::new());
        assert_eq!(alone["service-0"], places["service-0"], "the same everywhere");
    }

    #[test]
    fn names_that_nobody_uses_make_room() {
        let store = Store::in_memory();
        let imports = Imports::load(&store).unwrap();
        let kept = BTreeSet::from(["kept".to_owned()]);
        let place = imports.addresses_of(&store, NET, &kept, &BTreeSet::new())["kept"];
        let many = (0..MAX_IMPORTS - 1).map(|n| format!("once-{n}")).collect();
        assert_eq!(imports.addresses_of(&store, NET, &many, &kept).len(), MAX_IMPORTS - 1);
        let late = BTreeSet::from(["late".to_owned()]);
        assert_eq!(imports.addresses_of(&store, NET, &late, &kept).len(), 1, "there is room again");
        assert_eq!(imports.addresses_of(&store, NET, &kept, &BTreeSet::new())["kept"], place);
    }

    #[test]
    fn a_service_stays_at_its_port_while_a_target_has_it() {
        let address: Address = "shop".parse().unwrap();
        let service = |offers: &[(u8, Option<u16>, u16)]| ServiceOffers {
            offers: offers
                .iter()
                .map(|(site, service_port, target_port)| {
                    let site = van_model::SiteId::from_bytes([*site; 20]);
                    let offer = van_routing::RouterOffer {
                        protocol: Protocol::Tcp,
                        service_port: *service_port,
                        target_port: Some(*target_port),
                        targets: 1,
                        groups: Vec::new(),
                    };
                    (van_routing::RouterId { site, replica: 0 }, offer)
                })
                .collect(),
            conflict: None,
        };
        let lower_came = service(&[(1, None, 8080), (2, None, 80)]);
        assert_eq!(port(&address, &lower_came, None), Some(80));
        assert_eq!(port(&address, &lower_came, Some(8080)), Some(8080), "its clients stay");
        assert_eq!(port(&address, &service(&[(2, None, 80)]), Some(8080)), Some(80));
        let explicit = service(&[(1, None, 8080), (2, Some(9000), 80)]);
        assert_eq!(port(&address, &explicit, Some(8080)), Some(9000));
        let named: Address = "shop:7000".parse().unwrap();
        assert_eq!(port(&named, &explicit, Some(8080)), Some(7000));
    }

    #[test]
    fn the_networks_ends_and_the_name_servers_address_are_left_alone() {
        for (network, count) in
            [("127.77.0.0/16", 65_533), ("10.0.0.0/8", 65_533), ("10.9.8.0/29", 5)]
        {
            let network: Ipv4Net = network.parse().unwrap();
            for hash in [0, 1, 77, u64::MAX] {
                let all: BTreeSet<Ipv4Addr> = places_from(network, hash).collect();
                assert_eq!(all.len(), count);
                assert!(all.iter().all(|address| network.contains(address)));
                let first = network.network().to_bits();
                let kept = [first, first + 1, network.broadcast().to_bits()];
                assert!(kept.iter().all(|bits| !all.contains(&Ipv4Addr::from_bits(*bits))));
            }
        }
        let one: Vec<_> = places_from("10.0.0.0/30".parse().unwrap(), 5).collect();
        assert_eq!(one, [Ipv4Addr::new(10, 0, 0, 2)]);
    }

    #[test]
    fn in_another_network_a_service_has_an_address_of_that() {
        let store = Store::in_memory();
        let imports = Imports::load(&store).unwrap();
        let names = BTreeSet::from(["shop".to_owned()]);
        let here = imports.addresses_of(&store, NET, &names, &BTreeSet::new())["shop"];
        let other: Ipv4Net = "198.18.0.0/16".parse().unwrap();
        let there = imports.addresses_of(&store, other, &names, &BTreeSet::new())["shop"];
        assert!(NET.contains(&here) && other.contains(&there));
        assert_eq!(here.octets()[2..], there.octets()[2..]);
    }
}
