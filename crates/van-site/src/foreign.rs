//! What a cluster wants of the site, beside files and the API; and what it asks to know.

use std::collections::{BTreeMap, BTreeSet};

use van_config::Loaded;
use van_model::api::Source;
use van_model::{Address, ConnectorSpec, LinkSpec, ListenerSpec, Protocol};

use crate::error::SiteError;
use crate::reconcile::Wanted;
use crate::site::Site;

/// What the objects of a namespace want.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForeignSpecs {
    /// Links to dial.
    pub links: Vec<LinkSpec>,
    /// Listeners.
    pub listeners: Vec<ListenerSpec>,
    /// Connectors.
    pub connectors: Vec<ConnectorSpec>,
}

/// A service that the network offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedService {
    /// The port under which it appears.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether another site offers it.
    pub elsewhere: bool,
}

impl Site {
    /// Replaces what the namespace's objects want, together with the configuration that follows from
    /// them.
    ///
    /// # Errors
    /// A part of the configuration needs a restart; then nothing is changed.
    pub async fn set_foreign(
        &self,
        specs: ForeignSpecs,
        configure: impl FnOnce(&mut Loaded),
    ) -> Result<(), SiteError> {
        let _change = self.changing.lock().await;
        let before = std::mem::replace(&mut *self.foreign.lock(), specs);
        let mut loaded = self.loaded.lock().clone();
        configure(&mut loaded);
        match self.apply(loaded) {
            Ok(_) => {
                self.notify();
                Ok(())
            }
            Err(error) => {
                *self.foreign.lock() = before;
                Err(error)
            }
        }
    }

    /// Services that the network offers, this site's own among them; without those about which sites
    /// disagree.
    pub fn offered(&self) -> BTreeMap<Address, OfferedService> {
        let routes = self.map.routes();
        let services = routes.services.iter().filter(|(_, service)| service.conflict.is_none());
        let offered = services.filter_map(|(address, service)| {
            let elsewhere = service.offers.keys().any(|router| router.site != routes.me.site);
            let protocol = service.offers.values().next()?.protocol;
            let port = crate::imports::port(address, service, None)?;
            Some((address.clone(), OfferedService { port, protocol, elsewhere }))
        });
        offered.collect()
    }

    /// Why a link can't be dialled, where its token says so.
    pub fn link_problem(&self, spec: &LinkSpec) -> Option<String> {
        self.dial_spec(spec).err().map(|error| error.to_string())
    }

    /// The names of links whose peers are known, so that they need no token any more.
    pub fn known_links(&self) -> BTreeSet<String> {
        self.link_peers.get().into_keys().collect()
    }

    /// Where the site's state is kept.
    pub fn store(&self) -> &van_store::Store {
        &self.store
    }

    /// Where others reach this site to link to it.
    pub fn endpoints(&self) -> Vec<van_model::HostPort> {
        self.advertised()
    }
}

/// The specs as wanted ones.
pub(crate) fn wanted<S: Clone>(
    specs: &[S],
    name: impl Fn(&S) -> &str,
) -> impl Iterator<Item = (String, Wanted<S>)> {
    specs.iter().map(move |spec| {
        let wanted = Wanted { spec: spec.clone(), source: Source::Kubernetes, file: None };
        (name(spec).to_owned(), wanted)
    })
}
