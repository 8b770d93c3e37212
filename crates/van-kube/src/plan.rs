//! What follows from the objects of a namespace: what the site is to do, and what is to be made.

mod access;
mod annotations;
mod attached;
mod connectors;
mod links;
mod listeners;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use van_crd::{Granted, Invalid, SecretKey};
use van_model::{Address, HostPort, Protocol};

pub use access::Made;

use crate::index::{Index, Key, Kind};
use crate::neighbours::Neighbour;
use crate::object::{Meta, Object};

/// What is known beside the objects.
#[derive(Debug, Clone)]
pub struct Context {
    /// The namespace.
    pub namespace: String,
    /// Where listeners bind in the pod.
    pub bind: IpAddr,
    /// The labels of vand's own pods.
    pub own_labels: BTreeMap<String, String>,
    /// Services that the network offers.
    pub offered: BTreeMap<Address, Offered>,
    /// What the Secrets of links hold: a token, or why there is none.
    pub secrets: BTreeMap<(String, String), Result<String, String>>,
    /// Secrets that make links by themselves: a token, or why there is none.
    pub link_secrets: BTreeMap<String, Result<String, String>>,
    /// Links whose peers are known, so that they need no token.
    pub linked: BTreeSet<String>,
    /// Where keys of Secrets are kept as files: FOLDER/SECRET/KEY.
    pub secret_files: PathBuf,
    /// Other namespaces that are followed.
    pub neighbours: BTreeMap<String, Neighbour>,
}

/// A service that the network offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The port under which it appears.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether another site offers it, too.
    pub elsewhere: bool,
}

/// All that follows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The site's own settings; `None`: no Site can be used, and nothing else is wanted.
    pub site: Option<SiteSettings>,
    /// Links to dial.
    pub links: Vec<van_model::LinkSpec>,
    /// Listeners, bound in the pod.
    pub listeners: Vec<van_model::ListenerSpec>,
    /// Connectors, one for each target.
    pub connectors: Vec<van_model::ConnectorSpec>,
    /// Services to make.
    pub services: BTreeMap<String, WantedService>,
    /// Headless Services to make, below which several others have names.
    pub headless: BTreeMap<String, WantedHeadless>,
    /// Endpoints for Services of others, by the Service's name.
    pub slices: BTreeMap<String, WantedSlice>,
    /// Tokens to issue, by the grant's name.
    pub grants: BTreeMap<String, WantedGrant>,
    /// Secrets that are needed as files.
    pub secret_files: BTreeSet<String>,
    /// Secrets whose keys are needed as tokens.
    pub tokens: BTreeSet<(String, String)>,
    /// Other namespaces that are to be followed.
    pub neighbours: BTreeSet<String>,
    /// Objects by which other sites reach this one.
    pub made: Vec<Made>,
    /// Where they reach it, as it goes into tokens.
    pub endpoints: Vec<HostPort>,
    /// What is said of each object that wants something.
    pub verdicts: BTreeMap<Key, Verdict>,
    /// The names of connectors that an object stands for.
    pub targets: BTreeMap<Key, Vec<String>>,
}

/// The site as its object wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteSettings {
    /// The object.
    pub object: String,
    /// Its uid: what is made for the site goes with it.
    pub uid: String,
    /// Who the site is.
    pub spec: van_model::SiteSpec,
    /// Globs of services that appear here.
    pub import: Vec<String>,
    /// How others reach it.
    pub access: Vec<van_crd::Access>,
    /// What is logged, where that is said.
    pub log_level: Option<String>,
}

/// A Service that is to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedService {
    /// Whose it is: it goes with that object.
    pub owner: Owner,
    /// Its ports.
    pub ports: Vec<WantedPort>,
    /// Why it is there: `listener` or `import`.
    pub role: &'static str,
}

/// The object with which another goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The object.
    pub key: Key,
    /// Its uid.
    pub uid: String,
}

/// A headless Service: each of several Services gets a name below its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedHeadless {
    /// Whose it is.
    pub owner: Owner,
    /// The Services' names, which are the names below its own.
    pub hosts: BTreeSet<String>,
    /// Their ports, and whether these are of datagrams.
    pub ports: BTreeSet<(u16, bool)>,
}

/// A port of a Service, and where it leads in the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPort {
    /// The Service's port.
    pub port: u16,
    /// The pods' port.
    pub target: u16,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// Endpoints that lead a Service of somebody else to vand's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedSlice {
    /// The Service's uid.
    pub owner: Owner,
    /// Names of the Service's ports, and where they lead.
    pub ports: Vec<(String, WantedPort)>,
}

/// A token that is to be issued into a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedGrant {
    /// Whose Secret it is.
    pub owner: Owner,
    /// The token's numbers.
    pub granted: Granted,
    /// The Secret's name.
    pub secret: String,
}

/// What is said of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is used. What came of it is known by what runs.
    Accepted,
    /// It can't be used: reason and sentence.
    Refused(&'static str, String),
    /// It is used, and waits for something: reason and sentence.
    Waiting(&'static str, String),
}

impl Verdict {
    fn invalid(why: &Invalid) -> Self {
        Self::Refused("Invalid", why.to_string())
    }
}

/// What follows from these objects.
pub fn plan(index: &Index, context: &Context) -> Plan {
    let mut plan = Plan::default();
    plan.choose_site(index);
    if plan.site.is_none() {
        plan.refuse_without_site(index);
        return plan;
    }
    plan.add_access(index, context);
    plan.add_links(index, context);
    plan.add_grants(index);
    plan.add_connectors(index, context);
    plan.add_attached(index, context);
    plan.add_listeners(index, context);
    plan
}

impl Plan {
    /// The oldest Site that can be read is the namespace's.
    fn choose_site(&mut self, index: &Index) {
        let mut sites: Vec<_> =
            index.custom(Kind::Site).filter(|site| !site.meta.is_deleted).collect();
        sites.sort_by_key(|site| (site.meta.created.as_ref().map(|t| t.0), site.meta.name.clone()));
        for site in sites {
            let key = Key::new(Kind::Site, &site.meta.name);
            let verdict = match (&self.site, settings(site)) {
                (Some(chosen), _) => Verdict::Refused(
                    "Conflict",
                    format!(
                        "the namespace is site {} already: delete one of the two",
                        chosen.object
                    ),
                ),
                (None, Err(why)) => Verdict::invalid(&why),
                (None, Ok(settings)) => {
                    self.site = Some(settings);
                    Verdict::Accepted
                }
            };
            self.verdicts.insert(key, verdict);
        }
    }

    fn refuse_without_site(&mut self, index: &Index) {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_custom() && *kind != Kind::Site) {
            for object in index.custom(kind) {
                let why = "the namespace has no Site that can be used: apply one, or mend it";
                let verdict = Verdict::Waiting("NoSite", why.into());
                self.verdicts.insert(Key::new(kind, &object.meta.name), verdict);
            }
        }
    }

    fn add_grants(&mut self, index: &Index) {
        for object in index.custom(Kind::AccessGrant).filter(|object| !object.meta.is_deleted) {
            let key = Key::new(Kind::AccessGrant, &object.meta.name);
            let read = spec::<van_crd::AccessGrantSpec>(object)
                .and_then(|spec| Ok((spec.checked()?, spec.secret)));
            let verdict = match read {
                Err(why) => Verdict::invalid(&why),
                Ok((granted, secret)) => {
                    let owner = owner(&key, &object.meta);
                    let secret = secret.unwrap_or_else(|| object.meta.name.clone());
                    self.grants.insert(key.name.clone(), WantedGrant { owner, granted, secret });
                    Verdict::Accepted
                }
            };
            self.verdicts.insert(key, verdict);
        }
    }
}

fn settings(site: &Object) -> Result<SiteSettings, Invalid> {
    let spec: van_crd::SiteSpec = spec(site)?;
    Ok(SiteSettings {
        object: site.meta.name.clone(),
        uid: site.meta.uid.clone(),
        spec: spec.to_spec(&site.meta.name)?,
        import: spec.services.import,
        access: spec.access,
        log_level: spec.log_level,
    })
}

/// Reads what an object wants.
fn spec<T: DeserializeOwned>(object: &Object) -> Result<T, Invalid> {
    let spec = match &object.spec {
        serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
        spec => spec.clone(),
    };
    serde_json::from_value(spec).map_err(|why| Invalid::new("spec", why))
}

fn owner(key: &Key, meta: &Meta) -> Owner {
    Owner { key: key.clone(), uid: meta.uid.clone() }
}

/// Where a key of a Secret is as a file.
fn secret_file(context: &Context, secret: &str, key: &str) -> String {
    context.secret_files.join(secret).join(key).display().to_string()
}

/// What the Secret of a link holds.
fn token_of(context: &Context, key: &SecretKey) -> Result<String, String> {
    let found = context.secrets.get(&(key.name.clone(), key.key.clone()));
    found.cloned().unwrap_or_else(|| Err(format!("the Secret {} is being read", key.name)))
}
