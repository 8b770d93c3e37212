//! The layers made one by figment, and the checks that need all of them.

use std::collections::BTreeMap;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use van_model::{
    ApiSpec, Bind, ConnectorTls, LimitsSpec, LogSpec, Mode, PodmanSpec, Protocol, RouteSpec,
    ServicesSpec, SiteSpec,
};

use crate::layer::{self, Layer};
use crate::listener::Taken;
use crate::mistake::{Mistake, Place, Problem};
use crate::origin::{Origin, Origins};
use crate::schema::SECTIONS;
use crate::tree::missing_key;

/// All layers, weakest first, and what they say together.
pub(crate) struct Merged<'a> {
    layers: &'a [Layer],
    pub(crate) figment: Figment,
}

impl<'a> Merged<'a> {
    /// Merges the layers over the defaults; later ones win.
    pub(crate) fn new(site: &SiteSpec, layers: &'a [Layer]) -> Self {
        let defaults = Figment::new()
            .merge(Serialized::default("site", site))
            .merge(Serialized::default("services", ServicesSpec::default()))
            .merge(Serialized::default("podman", PodmanSpec::default()))
            .merge(Serialized::default("api", ApiSpec::default()))
            .merge(Serialized::default("log", LogSpec::default()))
            .merge(Serialized::default("limits", LimitsSpec::default()));
        let figment = layers
            .iter()
            .enumerate()
            .fold(defaults, |merged, (number, layer)| merged.merge(layer.numbered(number)));
        Self { layers, figment }
    }

    /// Where the strongest layer that knows a key sets it.
    fn place(&self, key: &str) -> Option<&'a Place> {
        self.layers.iter().rev().find_map(|layer| layer.place(key))
    }

    /// The checks that one layer alone can't make.
    pub(crate) fn check(&self, mistakes: &mut Vec<Mistake>) {
        self.check_names(mistakes);
        self.check_required(mistakes);
        self.check_mode(mistakes);
        self.check_binds(mistakes);
        self.check_datagrams(mistakes);
        self.check_routes(mistakes);
        self.check_tls(mistakes);
    }

    fn check_names(&self, mistakes: &mut Vec<Mistake>) {
        let mut seen = BTreeMap::new();
        for entry in self.layers.iter().flat_map(|layer| &layer.entries) {
            let Some(first) = seen.insert((entry.section, &entry.name), &entry.place) else {
                continue;
            };
            let what = format!("the name {:?} is used twice, first at {first}", entry.name);
            let key = format!("{}.{}.name", entry.section, entry.name);
            let hint = format!("give each [[{}]] a name of its own", entry.section);
            mistakes.push(Mistake::new(entry.place.clone(), &key, Problem::new(what, hint)));
        }
    }

    fn check_required(&self, mistakes: &mut Vec<Mistake>) {
        if self.layers.iter().any(|layer| layer.broken) {
            return;
        }
        for section in SECTIONS.into_iter().filter(|section| !section.list) {
            let Some(place) = self.place(section.name) else { continue };
            for key in section.required {
                let full = format!("{}.{key}", section.name);
                if self.place(&full).is_none() {
                    mistakes.push(Mistake::new(place.clone(), &full, missing_key(section, key)));
                }
            }
        }
    }

    fn check_mode(&self, mistakes: &mut Vec<Mistake>) {
        let edge = self.figment.extract_inner::<Mode>("site.mode").is_ok_and(|m| m == Mode::Edge);
        if let Some(place) = self.place("accept").filter(|_| edge) {
            let hint = "take [accept] out, or set site.mode = \"interior\"";
            let problem = Problem::new("edge sites accept no links", hint);
            mistakes.push(Mistake::new(place.clone(), "accept", problem));
        }
    }

    fn check_binds(&self, mistakes: &mut Vec<Mistake>) {
        // Streams and datagrams have ports of their own.
        let (mut taken, mut taken_by_datagrams) = (Taken::default(), Taken::default());
        // Port 0 is another one each time, and no `Bind` has it.
        let listen = self.figment.extract_inner::<Vec<String>>("accept.listen").unwrap_or_default();
        for bind in listen.iter().filter_map(|listen| listen.parse().ok()) {
            taken.take("accept.listen", &bind);
        }
        let listeners = self.section("listener");
        for name in self.names("listener") {
            let bind = listeners.get(name).and_then(|listener| listener.find_ref("bind")?.as_str());
            let Some(bind) = bind.and_then(|bind| bind.parse::<Bind>().ok()) else { continue };
            let key = format!("listener.{name}.bind");
            let datagrams = self.is_of_datagrams("listener", name);
            let taken = if datagrams { &mut taken_by_datagrams } else { &mut taken };
            let Some(holder) = taken.take(&key, &bind).filter(|holder| *holder != key) else {
                continue;
            };
            if let (Some(place), Some(first)) = (self.place(&key), self.place(&holder)) {
                let what = format!("{bind} is taken already by {holder} at {first}");
                let problem = Problem::new(what, "give each listener a port or path of its own");
                mistakes.push(Mistake::new(place.clone(), &key, problem));
            }
        }
    }

    fn is_of_datagrams(&self, section: &str, name: &str) -> bool {
        let key = format!("{section}.{name}.protocol");
        self.figment.extract_inner::<Protocol>(&key).is_ok_and(|p| p == Protocol::Udp)
    }

    /// Datagrams go to ports only, and have no connection to begin with a header.
    fn check_datagrams(&self, mistakes: &mut Vec<Mistake>) {
        let hint = "protocol \"udp\" takes host:port, in a connector also a container or pod";
        for (section, key) in [("listener", "bind"), ("connector", "target")] {
            for name in self.names(section).filter(|name| self.is_of_datagrams(section, name)) {
                let full = format!("{section}.{name}.{key}");
                let text = self.figment.extract_inner::<String>(&full).unwrap_or_default();
                if let Some(place) = self.place(&full).filter(|_| text.starts_with("unix:")) {
                    let problem = Problem::new("a Unix socket takes no datagrams here", hint);
                    mistakes.push(Mistake::new(place.clone(), &full, problem));
                }
                let full = format!("{section}.{name}.proxy_protocol");
                let asked = self.figment.extract_inner::<bool>(&full).unwrap_or_default();
                if let Some(place) = self.place(&full).filter(|_| asked) {
                    let hint = "take proxy_protocol out";
                    let problem = Problem::new("datagrams carry no PROXY protocol header", hint);
                    mistakes.push(Mistake::new(place.clone(), &full, problem));
                }
            }
        }
    }

    /// What can be asked for depends on the protocol.
    fn check_routes(&self, mistakes: &mut Vec<Mistake>) {
        for name in self.names("listener") {
            let key = format!("listener.{name}.routes");
            let routes = self.figment.extract_inner::<Vec<RouteSpec>>(&key).unwrap_or_default();
            let protocol = format!("listener.{name}.protocol");
            let protocol = self.figment.extract_inner::<Protocol>(&protocol).unwrap_or_default();
            let wrong = |(n, route): (usize, &RouteSpec)| Some((n, route.check(protocol).err()?));
            let found = routes.iter().enumerate().find_map(wrong);
            if let (Some(place), Some((n, error))) = (self.place(&key), found) {
                let problem = Problem::plain(format!("route {}: {error}", n + 1));
                mistakes.push(Mistake::new(place.clone(), &key, problem));
            }
        }
    }

    /// What TLS goes with.
    fn check_tls(&self, mistakes: &mut Vec<Mistake>) {
        for section in ["listener", "connector"] {
            for name in self.names(section) {
                let key = format!("{section}.{name}.tls");
                let Some(place) = self.place(&key) else { continue };
                if let Err(error) = self.tls_of(section, name) {
                    mistakes.push(Mistake::new(place.clone(), &key, Problem::plain(error)));
                }
            }
        }
    }

    fn tls_of(&self, section: &str, name: &str) -> Result<(), String> {
        let has = |key: &str| self.figment.find_value(&format!("{section}.{name}.{key}")).is_ok();
        let protocol = format!("{section}.{name}.protocol");
        let protocol = self.figment.extract_inner::<Protocol>(&protocol).unwrap_or_default();
        if protocol == Protocol::Udp {
            return Err("tls goes with protocol tcp, http and http2, not with udp".into());
        }
        if section == "listener" {
            return match (protocol, has("routes")) {
                (Protocol::Tcp, true) => Err("routes of tcp read the server name that clients ask for and \
                                              leave their TLS as it is: take out tls, or set protocol = \
                                              \"http\""
                    .into()),
                _ => Ok(()),
            };
        }
        let target = format!("connector.{name}.target");
        let target = self.figment.extract_inner::<String>(&target).unwrap_or_default();
        let has_host = has("target") && !target.starts_with("unix:") && !target.contains('/');
        if !has_host && !has("tls.server_name") {
            return Err(
                "server_name is missing: the target has no host that a certificate could be of"
                    .into(),
            );
        }
        let tls = self.figment.extract_inner::<ConnectorTls>(&format!("connector.{name}.tls"));
        tls.map_or(Ok(()), |tls| tls.check())
    }

    /// The merged entries of a list section, by name.
    pub(crate) fn section(&self, name: &str) -> Dict {
        self.figment.find_value(name).ok().and_then(Value::into_dict).unwrap_or_default()
    }

    /// Where each value that is not a default came from.
    pub(crate) fn origins(&self) -> Origins {
        let mut origins = Origins::default();
        for section in SECTIONS {
            if let Ok(value) = self.figment.find_value(section.name) {
                self.collect(&value, section.name, &mut origins);
            }
        }
        origins
    }

    fn collect(&self, value: &Value, key: &str, origins: &mut Origins) {
        if let Value::Dict(_, inner) = value {
            for (name, value) in inner {
                self.collect(value, &format!("{key}.{name}"), origins);
            }
            return;
        }
        let layer = self.figment.get_metadata(value.tag()).and_then(layer::number);
        let place = layer.and_then(|number| self.layers.get(number)?.place(key));
        if let Some(place) = place {
            origins.insert(key.into(), Origin::from(place));
        }
    }

    /// The names of a list section's entries, in the order of the files.
    pub(crate) fn names(&self, section: &str) -> impl Iterator<Item = &'a str> {
        let entries = self.layers.iter().flat_map(|layer| &layer.entries);
        entries.filter(move |entry| entry.section == section).map(|entry| entry.name.as_str())
    }
}
