//! Listeners: of Listener objects, of Services that stand for workloads elsewhere, and of services that
//! appear by themselves; and the Services before them.

use std::collections::{BTreeMap, BTreeSet};

use van_crd::{ListenerSpec, Workload, WorkloadKind};
use van_model::{Address, Bind, HostPort, Name, Protocol};
use wildmatch::WildMatch;

use super::annotations::exposed;
use super::connectors::{has_nobody, is_own, is_own_meta};
use super::{
    Context, Owner, Plan, Verdict, WantedHeadless, WantedPort, WantedService, WantedSlice, owner,
    secret_file, spec,
};
use crate::index::{Index, Key, Kind};
use crate::object::Object;
use crate::ports::{Place, assign};

/// Ports that the pods use otherwise, and Services that are made at most.
const MAX_SERVICES: usize = 10_000;

/// A listener that is to be, and the port of the Service before it.
struct Asked {
    place: Place,
    protocol: Protocol,
    front: Front,
}

/// Why a listener is to be.
enum Front {
    Object(Key, Box<ListenerSpec>, String),
    /// A Service of somebody else that stands for a workload elsewhere: its uid and the port's name.
    StandIn(Key, String, String, Address),
    Import(Address),
}

impl Plan {
    pub(super) fn add_listeners(&mut self, index: &Index, context: &Context) {
        let mut asked: Vec<Asked> = Vec::new();
        let mut places = BTreeSet::new();
        for object in index.custom(Kind::Listener).filter(|object| !object.meta.is_deleted) {
            let key = Key::new(Kind::Listener, &object.meta.name);
            match ask(object, index, &places) {
                Ok(one) => {
                    places.insert(one.place.clone());
                    self.verdicts.insert(key, Verdict::Accepted);
                    asked.push(one);
                }
                Err(verdict) => {
                    self.verdicts.insert(key, verdict);
                }
            }
        }
        for one in self.stand_ins(index) {
            places.insert(one.place.clone());
            asked.push(one);
        }
        for one in self.imports(index, context, &places) {
            places.insert(one.place.clone());
            asked.push(one);
        }
        self.name_pods(&asked);
        let given = assign(&places, &known(index));
        let mut names: BTreeSet<String> =
            index.custom(Kind::Listener).map(|o| o.meta.name.clone()).collect();
        for one in asked {
            match given.get(&one.place) {
                Some(port) => self.listen(one, *port, context, &mut names),
                None => {
                    if let Front::Object(key, ..) = &one.front {
                        let why = "no port of the pods is left for it".to_owned();
                        self.verdicts.insert(key.clone(), Verdict::Refused("NoPort", why));
                    }
                }
            }
        }
    }

    /// Adds a listener that binds this port of the pods, and the Service's port before it.
    fn listen(
        &mut self,
        asked: Asked,
        target: u16,
        context: &Context,
        names: &mut BTreeSet<String>,
    ) {
        let bind = Bind::Tcp(HostPort::new(context.bind, target));
        let port = WantedPort { port: asked.place.port, target, protocol: asked.protocol };
        let Some(site) = &self.site else { return };
        let of_site = Owner { key: Key::new(Kind::Site, &site.object), uid: site.uid.clone() };
        match asked.front {
            Front::Object(key, spec, uid) => {
                let file = |secret: &str, key: &str| secret_file(context, secret, key);
                match spec.to_spec(&key.name, bind, file) {
                    Err(why) => {
                        self.verdicts.insert(key, Verdict::invalid(&why));
                        return;
                    }
                    Ok(listener) => self.listeners.push(listener),
                }
                if let Some(tls) = &spec.tls {
                    self.secret_files.insert(tls.secret.clone());
                }
                self.serve(asked.place.service, &Owner { key, uid }, port, "listener");
            }
            Front::StandIn(key, uid, name, address) => {
                self.listeners.push(plain(&address, bind, asked.protocol, names));
                let slice = self.slices.entry(key.name.clone()).or_insert_with(|| WantedSlice {
                    owner: Owner { key, uid },
                    ports: Vec::new(),
                });
                slice.ports.push((name, port));
            }
            Front::Import(address) => {
                self.listeners.push(plain(&address, bind, asked.protocol, names));
                self.serve(asked.place.service, &of_site, port, "import");
            }
        }
    }

    /// Adds a port to a Service. One that several objects ask for is the site's.
    fn serve(&mut self, service: String, owner: &Owner, port: WantedPort, role: &'static str) {
        let site = self.site.as_ref().map(|site| (site.object.clone(), site.uid.clone()));
        let wanted = self.services.entry(service).or_insert_with(|| WantedService {
            owner: owner.clone(),
            ports: Vec::new(),
            role,
        });
        if wanted.owner != *owner
            && let Some((object, uid)) = site
        {
            wanted.owner = Owner { key: Key::new(Kind::Site, object), uid };
        }
        wanted.ports.push(port);
    }

    /// Annotated Services behind which nobody is: clients of the namespace are led into the network.
    fn stand_ins(&self, index: &Index) -> Vec<Asked> {
        let compat = self.compat(index);
        let mut asked = Vec::new();
        for service in
            index.services().filter(|service| !is_own(service) && !service.meta.is_deleted)
        {
            let itself = Workload { kind: WorkloadKind::Service, name: service.meta.name.clone() };
            let Some(Ok(exposed)) = exposed(&service.meta, &itself, &compat) else { continue };
            let itself = itself.to_string();
            let is_itself = |c: &van_crd::ConnectorSpec| c.workload.as_ref() == Some(&itself);
            if !has_nobody(index, service) || !exposed.connectors.iter().all(is_itself) {
                continue;
            }
            let protocol =
                exposed.connectors.first().and_then(|c| c.protocol.as_deref()?.parse().ok());
            let several = service.ports.len() > 1;
            for port in &service.ports {
                let address = match several {
                    true => format!("{}:{}", exposed.address, port.port),
                    false => exposed.address.clone(),
                };
                let Ok(address) = address.parse() else { continue };
                let key = Key::new(Kind::Service, &service.meta.name);
                let front =
                    Front::StandIn(key, service.meta.uid.clone(), port.name.clone(), address);
                let place = Place {
                    service: service.meta.name.clone(),
                    port: port.port,
                    is_udp: port.is_udp,
                };
                let by_port = if port.is_udp { Protocol::Udp } else { Protocol::Tcp };
                asked.push(Asked { place, protocol: protocol.unwrap_or(by_port), front });
            }
        }
        asked
    }

    /// Gives pods of other sites their names: a headless Service for each set of them.
    fn name_pods(&mut self, asked: &[Asked]) {
        let Some(site) = &self.site else { return };
        let owner = Owner { key: Key::new(Kind::Site, &site.object), uid: site.uid.clone() };
        for one in asked {
            let Front::Import(address) = &one.front else { continue };
            let Some((pod, parent)) = address.name().split_once('.') else { continue };
            let headless =
                self.headless.entry(parent.to_owned()).or_insert_with(|| WantedHeadless {
                    owner: owner.clone(),
                    hosts: BTreeSet::new(),
                    ports: BTreeSet::new(),
                });
            headless.hosts.insert(pod.to_owned());
            headless.ports.insert((one.place.port, one.place.is_udp));
        }
    }

    /// Services of the network that are to appear here.
    fn imports(&self, index: &Index, context: &Context, places: &BTreeSet<Place>) -> Vec<Asked> {
        let globs = self.site.iter().flat_map(|site| &site.import);
        let globs: Vec<WildMatch> = globs.map(|glob| WildMatch::new(glob)).collect();
        let fits = |address: &Address| {
            globs.iter().any(|glob| glob.matches(address.as_str()) || glob.matches(address.name()))
        };
        // Somebody else's Service of that name is left alone: its clients know it.
        let is_free = |service: &str| {
            is_service_name(service) && index.service(service).is_none_or(|there| is_own(there))
        };
        let offered = || context.offered.iter().filter(|(address, _)| fits(address));
        let parents: BTreeSet<&str> =
            offered().filter_map(|(address, _)| Some(address.name().split_once('.')?.1)).collect();
        let mut taken = places.clone();
        let mut asked = Vec::new();
        for (address, offered) in offered() {
            // A pod's own name leads to a Service of that pod.
            let (service, parent) = match address.name().split_once('.') {
                Some((pod, parent)) => (pod, Some(parent)),
                None => (address.name(), None),
            };
            let is_parent = parent.is_none() && parents.contains(service);
            if !is_free(service) || !parent.is_none_or(is_free) || is_parent {
                continue;
            }
            let is_udp = offered.protocol == Protocol::Udp;
            let place = Place { service: service.to_owned(), port: offered.port, is_udp };
            if taken.insert(place.clone()) {
                let front = Front::Import(address.clone());
                asked.push(Asked { place, protocol: offered.protocol, front });
            }
            if asked.len() >= MAX_SERVICES {
                break;
            }
        }
        asked
    }
}

/// What a Listener object asks for.
fn ask(object: &Object, index: &Index, places: &BTreeSet<Place>) -> Result<Asked, Verdict> {
    let spec: ListenerSpec = spec(object).map_err(|why| Verdict::invalid(&why))?;
    let invalid = |why| Verdict::invalid(&why);
    let (port, protocol) = (spec.port().map_err(invalid)?, spec.protocol().map_err(invalid)?);
    let host = spec.host(&object.meta.name).to_owned();
    if !is_service_name(&host) {
        let why = format!(
            "spec.host: {host:?} is no name of a Service: a-z, 0-9 and '-', a letter first"
        );
        return Err(Verdict::Refused("Invalid", why));
    }
    if index.service(&host).is_some_and(|service| !is_own(service)) {
        let why = format!(
            "there is a Service {host} that is not vand's, it is left alone: set spec.host, or delete that Service"
        );
        return Err(Verdict::Refused("ServiceExists", why));
    }
    let place = Place { service: host, port, is_udp: protocol == Protocol::Udp };
    if places.contains(&place) {
        let why = format!("another Listener has port {port} of Service {} already", place.service);
        return Err(Verdict::Refused("Conflict", why));
    }
    let key = Key::new(Kind::Listener, &object.meta.name);
    let uid = owner(&key, &object.meta).uid;
    Ok(Asked { place, protocol, front: Front::Object(key, Box::new(spec), uid) })
}

/// A listener with every default, of a name that no other has.
fn plain(
    address: &Address,
    bind: Bind,
    protocol: Protocol,
    names: &mut BTreeSet<String>,
) -> van_model::ListenerSpec {
    let stem =
        Name::from_lossy(address.as_str()).map_or_else(|| "service".into(), |n| n.to_string());
    let short: String = stem.chars().take(Name::MAX - 6).collect();
    let numbered = (2..).map(|n| format!("{short}-{n}"));
    let free = std::iter::once(stem).chain(numbered).find(|name| names.insert(name.clone()));
    let name = free.and_then(|name| Name::from_lossy(&name)).expect("numbers make some name free");
    let mut listener = van_model::ListenerSpec::new(name, address.clone(), bind);
    listener.protocol = protocol;
    listener
}

/// The pods' ports that Services of vand, and its endpoints of others, have.
fn known(index: &Index) -> BTreeMap<Place, u16> {
    let mut known = BTreeMap::new();
    for service in index.services().filter(|service| is_own(service)) {
        for port in &service.ports {
            let service = service.meta.name.clone();
            let place = Place { service, port: port.port, is_udp: port.is_udp };
            known.extend(port.target.map(|target| (place, target)));
        }
    }
    for slice in index.slices().filter(|slice| is_own_meta(&slice.meta)) {
        let Some(service) = index.service(&slice.service).filter(|service| !is_own(service)) else {
            continue;
        };
        for port in &service.ports {
            let found = slice.ports.iter().find(|(name, _)| *name == port.name);
            let service = slice.service.clone();
            let place = Place { service, port: port.port, is_udp: port.is_udp };
            known.extend(found.map(|(_, target)| (place, *target)));
        }
    }
    known
}

/// Whether a cluster takes this as the name of a Service.
fn is_service_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
