//! The network of the fake site: `laptop`, `public` and `db-host` in a line, and `cut-off`.

use std::collections::BTreeMap;

use van_model::api::{
    FlowEnd, FlowRecord, FlowSide, NetworkLink, NetworkOffer, NetworkSite, PingHop, PingReply,
    PingRequest, Trace, TraceCandidate, TraceHop,
};
use van_model::status::SiteRef;
use van_model::{Address, Mode, SiteId, Strategy};

use super::{fake_time, public};

fn site_ref(name: &str) -> SiteRef {
    let mut bytes = [b'-'; 20];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    SiteRef { id: SiteId::from_bytes(bytes), name: name.into() }
}

fn here() -> SiteRef {
    SiteRef { id: SiteId::from_bytes(*b"laptop-laptop-laptop"), name: "laptop".into() }
}

fn site(who: SiteRef, cost: Option<u32>, links: &[(SiteRef, u16, Option<u16>)]) -> NetworkSite {
    let link = |(peer, cost, peer_cost): &(SiteRef, u16, Option<u16>)| NetworkLink {
        peer: peer.clone(),
        cost: *cost,
        peer_cost: *peer_cost,
    };
    NetworkSite {
        name: who.name,
        id: who.id,
        mode: Mode::Interior,
        version: "0.1.0".into(),
        this_site: cost == Some(0),
        reachable: cost.is_some(),
        cost,
        hops: cost.map(|cost| if cost > 1 { 2 } else { cost as u8 }),
        via: if cost.is_some_and(|cost| cost > 0) { vec![public()] } else { Vec::new() },
        links: links.iter().map(link).collect(),
        services: Vec::new(),
        labels: BTreeMap::new(),
        replicas: 1,
    }
}

/// All sites.
pub(super) fn sites() -> Vec<NetworkSite> {
    let (host, cut) = (site_ref("db-host"), site_ref("cut-off"));
    let cut_off = site(cut, None, &[(host.clone(), 9, None)]);
    let mut far = site(host.clone(), Some(11), &[(public(), 10, Some(10))]);
    far.mode = Mode::Edge;
    far.services = vec![NetworkOffer {
        address: "db:5432".parse().expect("an address"),
        protocol: van_model::Protocol::Tcp,
        targets: 2,
    }];
    far.labels = BTreeMap::from([("region".into(), "eu".into())]);
    let near = site(here(), Some(0), &[(public(), 1, Some(1))]);
    let mut hub = site(public(), Some(1), &[(host, 10, Some(10)), (here(), 1, Some(1))]);
    hub.replicas = 2;
    vec![cut_off, far, near, hub]
}

/// The answer to an echo to `public`.
pub(super) fn reply(request: &PingRequest) -> PingReply {
    let SiteRef { id, name: site } = public();
    let hop = PingHop { site: site.clone(), id, rtt_ms: Some(0.312) };
    let hops = if request.hops { vec![hop] } else { Vec::new() };
    PingReply { id, site, rtt_ms: 0.312, hops }
}

/// A flow to `public`.
pub(super) fn flow(id: u64, end: Option<FlowEnd>) -> FlowRecord {
    FlowRecord {
        id,
        side: FlowSide::Ingress,
        address: "db".parse().expect("an address"),
        listener: Some("db".into()),
        client: Some("127.0.0.1:50000".into()),
        peer: Some(public().id),
        peer_name: Some(public().name),
        target: Some("pg".into()),
        started: fake_time(),
        ended: end.map(|_| fake_time() + std::time::Duration::from_millis(1500)),
        connect_ms: Some(0.5),
        bytes_sent: 10,
        bytes_received: 2048,
        end,
        requests: None,
    }
}

/// The way to `db-host`.
pub(super) fn trace(address: Address, listener: Option<String>) -> Trace {
    let chosen = site_ref("db-host");
    let candidate = TraceCandidate {
        address: address.clone(),
        site: chosen.name.clone(),
        id: chosen.id,
        targets: 2,
        cost: 11,
        flows_open: 1,
        penalty: None,
        score: 11.5,
        priority: 0,
        share: 1.0,
        usable: true,
        chosen: true,
    };
    let hop = |who: &SiteRef, link: Option<&str>, cost, rtt_ms| TraceHop {
        site: who.name.clone(),
        id: who.id,
        link: link.map(str::to_owned),
        cost,
        rtt_ms,
    };
    let path = vec![
        hop(&here(), None, None, None),
        hop(&public(), Some("to-public"), Some(1), Some(0.312)),
        hop(&chosen, None, Some(10), None),
    ];
    let why = "it is the only site that offers it".into();
    let strategy = Strategy::Balanced;
    Trace {
        address,
        listener,
        strategy,
        candidates: vec![candidate],
        chosen: Some(chosen),
        why,
        path,
    }
}
