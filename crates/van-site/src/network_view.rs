//! The network and the flows as the API shows them.

use std::collections::{BTreeMap, BTreeSet};

use van_model::api::{FlowQuery, FlowRecord, NetworkLink, NetworkOffer, NetworkSite};
use van_model::status::SiteRef;
use van_model::{ApiError, ErrorCode, SiteId};
use van_routing::{Node, RouterId, Routes};

use crate::site::Site;

/// Names of sites by id.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<SiteId, String>);

impl Names {
    pub(crate) fn of(routes: &Routes) -> Self {
        let name =
            |(router, node): (&RouterId, &Node)| (router.site, node.record.record.name.clone());
        Self(routes.routers.iter().map(name).collect())
    }

    /// The site with its name, or with its short id where no name is known.
    pub(crate) fn site(&self, id: SiteId) -> SiteRef {
        SiteRef { id, name: self.0.get(&id).cloned().unwrap_or_else(|| id.short()) }
    }

    /// A name, told apart by its id where two sites have it.
    pub(crate) fn label(&self, id: SiteId) -> String {
        let SiteRef { name, .. } = self.site(id);
        let twice = self.0.values().filter(|other| **other == name).count() > 1;
        if twice { format!("{name}/{}", id.short()) } else { name }
    }

    /// Finds a site by its name, its id, or a prefix of it.
    ///
    /// # Errors
    /// `not_found` with names that are like it, and `conflict` where it names several sites.
    pub(crate) fn find(&self, wanted: &str) -> Result<SiteRef, ApiError> {
        let fits = |(id, name): &(&SiteId, &String)| {
            *name == wanted || id.to_string() == wanted || id.has_prefix(wanted)
        };
        let found: Vec<SiteId> = self.0.iter().filter(fits).map(|(id, _)| *id).collect();
        match found[..] {
            [id] => Ok(self.site(id)),
            [] => {
                let message = format!("no site of the network is called {wanted:?}");
                let hint = like(wanted, self.0.values().map(String::as_str)).map_or_else(
                    || "'vanctl network status' shows the sites".into(),
                    |near| format!("did you mean {near:?}? 'vanctl network status' shows all"),
                );
                Err(ApiError::new(ErrorCode::NotFound, message).hint(hint))
            }
            _ => {
                let ids: Vec<String> = found.iter().map(SiteId::short).collect();
                let message = format!("{wanted:?} names {} sites", found.len());
                let hint = format!("use the id: {}", ids.join(" or "));
                Err(ApiError::new(ErrorCode::Conflict, message).hint(hint))
            }
        }
    }
}

/// The name that is most like what was written, if any is.
pub(crate) fn like<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Of short names, one slip changes much.
    let score = |name| match strsim::osa_distance(wanted, name) {
        0 | 1 => 1.0,
        _ => strsim::jaro_winkler(wanted, name),
    };
    let near = names.map(|name| (score(name), name));
    near.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// All sites, each with its replicas merged, in the order of names, then ids.
pub(crate) fn sites(routes: &Routes) -> Vec<NetworkSite> {
    let names = Names::of(routes);
    let ids: BTreeSet<SiteId> = routes.routers.keys().map(|router| router.site).collect();
    let mut sites: Vec<_> = ids.into_iter().filter_map(|id| merged(routes, &names, id)).collect();
    sites.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    sites
}

fn merged(routes: &Routes, names: &Names, id: SiteId) -> Option<NetworkSite> {
    let routers: Vec<(&RouterId, &Node)> = routes.site(id).collect();
    let (_, first) = routers.first()?;
    let record = &first.record.record;
    let this_site = id == routes.me.site;
    let paths = routers.iter().filter_map(|(_, node)| node.path.as_ref());
    let best = paths.min_by_key(|path| (path.cost, path.hops));
    let via: BTreeSet<SiteId> =
        best.iter().flat_map(|path| path.next.iter().map(|next| next.site)).collect();
    Some(NetworkSite {
        name: record.name.clone(),
        id,
        mode: record.mode,
        version: record.software.clone(),
        this_site,
        reachable: this_site || best.is_some(),
        cost: if this_site { Some(0) } else { best.map(|path| path.cost) },
        hops: if this_site { Some(0) } else { best.map(|path| path.hops) },
        via: via.into_iter().filter(|_| !this_site).map(|next| names.site(next)).collect(),
        links: links(routes, names, &routers),
        services: offers(&routers),
        labels: record.labels.clone(),
        replicas: routers.len(),
    })
}

/// The site's links with others, the cheapest of each pair of sites.
fn links(routes: &Routes, names: &Names, routers: &[(&RouterId, &Node)]) -> Vec<NetworkLink> {
    let mut links: BTreeMap<SiteId, NetworkLink> = BTreeMap::new();
    for (router, node) in routers {
        for link in node.record.record.neighbours.iter().filter(|l| l.site != router.site) {
            let peer = RouterId { site: link.site, replica: link.replica };
            let fresh = NetworkLink {
                peer: names.site(link.site),
                cost: link.cost,
                peer_cost: claimed(routes, peer, **router),
            };
            let known = links.entry(link.site).or_insert_with(|| fresh.clone());
            if fresh.cost < known.cost {
                *known = fresh;
            }
        }
    }
    let mut links: Vec<_> = links.into_values().collect();
    links.sort_by(|a, b| (&a.peer.name, a.peer.id).cmp(&(&b.peer.name, b.peer.id)));
    links
}

/// The cost of a link as its end `from` tells it.
pub(crate) fn claimed(routes: &Routes, from: RouterId, to: RouterId) -> Option<u16> {
    let links = &routes.routers.get(&from)?.record.record.neighbours;
    links.iter().filter(|l| (l.site, l.replica) == (to.site, to.replica)).map(|l| l.cost).min()
}

fn offers(routers: &[(&RouterId, &Node)]) -> Vec<NetworkOffer> {
    let mut offers: BTreeMap<_, NetworkOffer> = BTreeMap::new();
    for offer in routers.iter().flat_map(|(_, node)| &node.record.record.offers) {
        let fresh =
            NetworkOffer { address: offer.address.clone(), protocol: offer.protocol, targets: 0 };
        let known = offers.entry(&offer.address).or_insert(fresh);
        // Replicas of a site have the same targets.
        known.targets = known.targets.max(offer.targets);
    }
    offers.into_values().collect()
}

/// The flows that are asked for, of records in the order of their numbers.
fn chosen(records: Vec<FlowRecord>, query: &FlowQuery, site: Option<SiteId>) -> Vec<FlowRecord> {
    let about = |flow: &FlowRecord| {
        let address = query.address.as_ref();
        let fits = |wanted: &String| {
            flow.address.as_str() == wanted || flow.address.name() == wanted.as_str()
        };
        address.is_none_or(fits) && site.is_none_or(|site| flow.peer == Some(site))
    };
    let (mut open, mut ended): (Vec<_>, Vec<_>) =
        records.into_iter().filter(about).partition(|flow| flow.end.is_none());
    open.drain(..open.len().saturating_sub(query.limit));
    let left = query.limit - open.len();
    ended.drain(..ended.len().saturating_sub(left));
    open.extend(ended);
    open.sort_by_key(|flow| flow.id);
    open
}

impl Site {
    /// The names of all sites that are known: members, and those that this one trusts.
    pub(crate) fn names(&self, routes: &Routes) -> Names {
        let mut names = Names::of(routes);
        for (id, pin) in self.peers.all().iter().filter(|(_, pin)| !pin.revoked) {
            names.0.entry(*id).or_insert_with(|| pin.name.clone());
        }
        names.0.insert(self.own_id(), self.name());
        names
    }

    /// The flows that are asked for, open and ended.
    pub(crate) fn flow_records(&self, query: &FlowQuery) -> Result<Vec<FlowRecord>, ApiError> {
        let names = self.names(&self.map.routes());
        let site = query.site.as_ref().map(|site| names.find(site)).transpose()?;
        // What is asked for is chosen here, so all are looked at.
        let records = self.dispatcher.flow_log().records(usize::MAX);
        let mut records = chosen(records, query, site.map(|site| site.id));
        for flow in &mut records {
            flow.peer_name = flow.peer.map(|id| names.label(id));
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use van_model::api::{FlowEnd, FlowSide};

    use super::*;

    fn id(n: u8) -> SiteId {
        SiteId::from_bytes([n; 20])
    }

    fn names(known: &[(u8, &str)]) -> Names {
        Names(known.iter().map(|(n, name)| (id(*n), (*name).to_owned())).collect())
    }

    #[test]
    fn sites_are_found_by_name_and_id() {
        let names = names(&[(1, "hub"), (2, "shop"), (3, "shop")]);
        assert_eq!(names.find("hub").unwrap().id, id(1));
        assert_eq!(names.find(&id(3).to_string()).unwrap().id, id(3));
        assert_eq!(names.find(&id(2).to_string()[..8]).unwrap().name, "shop");
        let twice = names.find("shop").unwrap_err();
        assert_eq!(twice.code, ErrorCode::Conflict);
        assert!(twice.hint.unwrap().contains(&id(3).short()));
        let near = names.find("shob").unwrap_err();
        assert_eq!(near.code, ErrorCode::NotFound);
        assert!(near.hint.unwrap().contains("did you mean \"shop\"?"));
        assert!(names.find("hbu").unwrap_err().hint.unwrap().contains("\"hub\""));
        assert!(!names.find("elsewhere").unwrap_err().hint.unwrap().contains("mean"));
        assert_eq!((names.label(id(1)), names.label(id(9))), ("hub".into(), id(9).short()));
        assert_eq!(names.label(id(2)), format!("shop/{}", id(2).short()));
    }

    #[test]
    fn open_flows_go_before_those_that_ended() {
        let flow = |n: u64, site: u8, address: &str, end| FlowRecord {
            id: n,
            side: FlowSide::Ingress,
            address: address.parse().unwrap(),
            listener: None,
            client: None,
            peer: Some(id(site)),
            peer_name: None,
            target: None,
            started: Timestamp::UNIX_EPOCH,
            ended: None,
            connect_ms: None,
            bytes_sent: 0,
            bytes_received: 0,
            end,
            requests: None,
        };
        let closed = Some(FlowEnd::Closed);
        let all = vec![
            flow(1, 1, "db:1", None),
            flow(2, 2, "db:2", closed),
            flow(3, 1, "web", closed),
            flow(4, 1, "db:1", closed),
            flow(5, 1, "db:1", None),
        ];
        let ids = |query: FlowQuery, site| -> Vec<u64> {
            chosen(all.clone(), &query, site).iter().map(|flow| flow.id).collect()
        };
        let most = |limit| FlowQuery { limit, ..FlowQuery::default() };
        assert_eq!(ids(most(3), None), [1, 4, 5]);
        assert_eq!(ids(most(1), None), [5]);
        let db = FlowQuery { address: Some("db".into()), ..FlowQuery::default() };
        assert_eq!(ids(db.clone(), None), [1, 2, 4, 5]);
        assert_eq!(ids(db, Some(id(2))), [2]);
        let port = FlowQuery { address: Some("db:2".into()), ..FlowQuery::default() };
        assert_eq!(ids(port, None), [2]);
    }
}
