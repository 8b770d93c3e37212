//! A running site as the controller of its namespace sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use van_api::SiteApi as _;
use van_kube::{Host, Issued, Key, Kind, Offered, Plan, Replicas, Running, WantedGrant};
use van_model::api::{TokenCreate, TokenView};
use van_model::status::LinkState;
use van_model::{Address, Conditions, LINK_PORT};
use van_site::{ForeignSpecs, Leader, Site};

use super::readiness::Readiness;

/// Steers one site.
pub(super) struct SiteHost {
    site: Arc<Site>,
    readiness: Arc<Readiness>,
    /// The pod's own address.
    ip: IpAddr,
}

impl SiteHost {
    pub(super) fn new(site: Arc<Site>, readiness: Arc<Readiness>, ip: IpAddr) -> Self {
        Self { site, readiness, ip }
    }

    fn site_status(&self) -> Running {
        let status = self.site.glance();
        let endpoints: Vec<_> = self.site.endpoints().iter().map(ToString::to_string).collect();
        let warning = status.warnings.first();
        let message = warning.map(|w| format!("{}: {}", w.subject, w.message));
        Running {
            is_ready: true,
            reason: if warning.is_some() { "Degraded" } else { "Running" }.into(),
            message: message.unwrap_or_default(),
            fields: fields(json!({
                "id": status.id,
                "version": status.version,
                "endpoints": endpoints,
                "sitesReached": status.sites_reached,
                "linksUp": status.links_up,
            })),
        }
    }
}

impl Host for SiteHost {
    fn offered(&self) -> BTreeMap<Address, Offered> {
        let offered = self.site.offered().into_iter();
        let same = |of: van_site::OfferedService| Offered {
            port: of.port,
            protocol: of.protocol,
            elsewhere: of.elsewhere,
        };
        offered.map(|(address, of)| (address, same(of))).collect()
    }

    fn linked(&self) -> BTreeSet<String> {
        self.site.known_links()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.site.changes()
    }

    async fn apply(&self, plan: &Plan) -> Result<(), String> {
        let specs = ForeignSpecs {
            links: plan.links.clone(),
            listeners: plan.listeners.clone(),
            connectors: plan.connectors.clone(),
        };
        let applied = self.site.set_foreign(specs, |loaded| {
            let any = loaded.config.accept.as_ref().and_then(|accept| accept.listen.first());
            let any = any.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |listen| listen.ip());
            super::configure(loaded, plan, any);
        });
        applied.await.map_err(|error| error.to_string())
    }

    fn running(&self, plan: &Plan) -> BTreeMap<Key, Running> {
        let mut running = BTreeMap::new();
        if let Some(site) = &plan.site {
            running.insert(Key::new(Kind::Site, &site.object), self.site_status());
        }
        self.add_links(plan, &mut running);
        for listener in self.site.listeners() {
            let key = Key::new(Kind::Listener, &listener.name);
            if plan.verdicts.contains_key(&key) {
                let more = json!({
                    "address": listener.spec.address,
                    "targets": listener.status.targets,
                });
                let mut state = of_conditions(&listener.status.conditions, fields(more));
                // A Service that refuses does what it is for while nobody offers its address.
                if state.reason == "NoTarget" {
                    state.is_ready = true;
                }
                running.insert(key, state);
            }
        }
        let connectors: BTreeMap<String, _> =
            self.site.connectors().into_iter().map(|c| (c.name.clone(), c)).collect();
        for (key, names) in &plan.targets {
            let all: Vec<_> = names.iter().filter_map(|name| connectors.get(name)).collect();
            let healthy = all.iter().filter(|c| c.status.healthy).count();
            let more = json!({
                "address": all.first().and_then(|c| c.spec.address.as_ref()),
                "targets": healthy,
            });
            let sick = all.iter().find(|c| !c.status.healthy);
            let mut state = match (healthy, sick) {
                (0, Some(sick)) => of_conditions(&sick.status.conditions, Map::new()),
                _ => Running {
                    is_ready: healthy > 0,
                    reason: "Offered".into(),
                    ..Running::default()
                },
            };
            state.fields = fields(more);
            running.insert(key.clone(), state);
        }
        running
    }

    fn tokens(&self) -> BTreeMap<String, Issued> {
        let tokens = self.site.tokens().into_iter();
        let issued = |token: van_model::api::TokenResource| {
            let issued = Issued {
                expires: token.status.expires.to_string(),
                is_usable: token.status.conditions.is_ready(),
                redeemed_by: token
                    .status
                    .redeemed_by
                    .iter()
                    .map(|site| site.name.clone())
                    .collect(),
            };
            (token.name, issued)
        };
        tokens.map(issued).collect()
    }

    fn replicas(&self, replicas: &Replicas) {
        let ready = replicas.others.values().filter(|(_, is_ready)| *is_ready).count();
        self.readiness.note_others(ready);
        let place = |ip: IpAddr| SocketAddr::new(ip, LINK_PORT);
        self.site.set_leader(match (replicas.leads, replicas.leader) {
            (true, _) => Leader::Here,
            (false, Some(ip)) => Leader::There(place(ip)),
            (false, None) => Leader::Unknown,
        });
        // Of each two the one whose address is higher dials. Edge sites accept no links, and need none among
        // themselves: each has its own to an interior site.
        let is_dialled = |ip: &IpAddr| *ip < self.ip && !self.site.accepting().is_empty();
        let others = replicas.others.iter().filter(|(_, (ip, _))| is_dialled(ip));
        let others = others.map(|(name, (ip, _))| (name.clone(), place(*ip)));
        self.site.set_replicas(&others.collect());
    }

    fn issue(&self, name: &str, grant: &WantedGrant) -> Result<String, String> {
        let create = TokenCreate {
            name: Some(name.parse().map_err(|why| format!("metadata.name: {why}"))?),
            spec: TokenView {
                expires_seconds: Some(grant.granted.expires_seconds),
                uses: Some(grant.granted.uses),
                cost: grant.granted.cost,
                accept: false,
            },
        };
        let made = self.site.issue_token(create);
        made.map(|made| made.token).map_err(|error| error.message)
    }

    fn revoke(&self, name: &str) {
        if let Err(error) = self.site.revoke_token(name) {
            tracing::warn!(token = name, error = error.message, "it can't be revoked");
        }
    }
}

impl SiteHost {
    fn add_links(&self, plan: &Plan, running: &mut BTreeMap<Key, Running>) {
        let links: BTreeMap<String, _> =
            self.site.links().into_iter().map(|link| (link.name.clone(), link)).collect();
        for spec in &plan.links {
            let name = spec.name.as_str();
            let state = match links.get(name) {
                Some(link) => {
                    let up = link.status.state == LinkState::Connected;
                    let why = [link.status.reason.clone(), link.status.hint.clone()];
                    Running {
                        is_ready: up,
                        reason: if up { "Connected" } else { "NotConnected" }.into(),
                        message: if up {
                            String::new()
                        } else {
                            why.into_iter().flatten().collect::<Vec<_>>().join("; ")
                        },
                        fields: fields(
                            json!({ "peer": link.status.peer.as_ref().map(|p| &p.name) }),
                        ),
                    }
                }
                None => Running {
                    is_ready: false,
                    reason: "BadToken".into(),
                    message: self
                        .site
                        .link_problem(spec)
                        .unwrap_or_else(|| "it is about to be dialled".into()),
                    fields: Map::new(),
                },
            };
            for kind in [Kind::Link, Kind::AccessToken] {
                let key = Key::new(kind, name);
                if plan.verdicts.contains_key(&key) {
                    running.insert(key, state.clone());
                }
            }
        }
    }
}

fn of_conditions(conditions: &Conditions, fields: Map<String, Value>) -> Running {
    let ready = conditions.get("Ready");
    Running {
        is_ready: conditions.is_ready(),
        reason: ready.map(|c| c.reason.clone()).unwrap_or_default(),
        message: ready.map(|c| c.message.clone()).unwrap_or_default(),
        fields,
    }
}

/// The fields of an object that have a value.
fn fields(object: Value) -> Map<String, Value> {
    let Value::Object(fields) = object else { return Map::new() };
    fields.into_iter().filter(|(_, value)| !value.is_null()).collect()
}
