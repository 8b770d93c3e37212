//! Links and connectors of the fake site, as what is asked for says they stand.

use van_model::Source;
use van_model::api::{ConnectorResource, ConnectorView, LinkPut, LinkResource, LinkView, Resource};
use van_model::status::{ConnectionStatus, ConnectorStatus, Direction, LinkState, LinkStatus};

use super::{fake_time, public, ready};

/// A link as its token wants it.
pub(super) fn link(name: &str, put: LinkPut) -> LinkResource {
    let (state, reason, conditions) = if put.token.contains("slow") {
        (LinkState::Connecting, None, ready(false, "Connecting", "dialling"))
    } else if put.token.contains("refused") {
        let why = "the token was refused";
        (LinkState::Failed, Some(why.to_owned()), ready(false, "Refused", why))
    } else {
        (LinkState::Connected, None, ready(true, "Connected", ""))
    };
    let up = state == LinkState::Connected;
    let connection = ConnectionStatus {
        index: 0,
        local: "192.0.2.1:40000".into(),
        remote: "192.0.2.2:8263".into(),
        tls: "1.3".into(),
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        key_exchange: "X25519MLKEM768".into(),
        resumed: false,
        since: fake_time(),
        flows_open: 1,
    };
    Resource {
        name: name.into(),
        source: Source::Api,
        file: None,
        spec: LinkView { cost: put.cost, token_file: None, proxy: put.proxy },
        status: LinkStatus {
            state,
            hint: reason.as_ref().map(|_| "ask for a new token".to_owned()),
            reason,
            peer: up.then(public),
            direction: Direction::Outgoing,
            cost: put.cost.map_or(1, u16::from),
            peer_cost: up.then_some(1),
            rtt_ms: up.then_some(0.312),
            since: fake_time(),
            remote: Some("192.0.2.2:8263".into()),
            connections: if up { vec![connection] } else { Vec::new() },
            reconnects: 0,
            bytes_sent: 1024,
            bytes_received: 2048,
            flows_open: 1,
            flows_total: 3,
            certificate_expires: up.then(fake_time),
            conditions,
        },
    }
}

/// A connector as its target wants it.
pub(super) fn connector(name: &str, spec: ConnectorView) -> ConnectorResource {
    let healthy = spec.target.port() != Some(1);
    let reason = (!healthy).then(|| "connection refused".to_owned());
    let conditions = match &reason {
        None => ready(true, "Healthy", ""),
        Some(why) => ready(false, "Unhealthy", why),
    };
    let status = ConnectorStatus {
        datagrams: None,
        healthy,
        reason,
        advertised_to: if healthy { 9 } else { 0 },
        flows_open: 0,
        flows_total: 0,
        conditions,
    };
    Resource { name: name.into(), source: Source::Api, file: None, spec, status }
}
