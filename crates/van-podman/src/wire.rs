//! podman's answers, decoded.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use crate::container::{Container, Published, State};
use crate::snapshot::Engine;

/// The most containers that are looked at.
pub(crate) const MAX_CONTAINERS: usize = 10_000;

/// A list that podman writes as `null` where it is empty.
fn or_none<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// One container of `containers/json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) names: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) pod_name: String,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) is_infra: bool,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) created: String,
}

/// `containers/ID/json`, as far as it is of use.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspected {
    state: InspectedState,
    #[serde(default, deserialize_with = "or_none")]
    network_settings: NetworkSettings,
    host_config: HostConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    #[serde(default)]
    running: bool,
    #[serde(default)]
    paused: bool,
    /// Before version 4 it was called `Healthcheck`.
    #[serde(default, alias = "Healthcheck", deserialize_with = "or_none")]
    health: Health,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    #[serde(default, deserialize_with = "or_none")]
    status: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "or_none", rename = "IPAddress")]
    address: String,
    #[serde(default, deserialize_with = "or_none", rename = "GlobalIPv6Address")]
    address6: String,
    #[serde(default, deserialize_with = "or_none")]
    networks: BTreeMap<String, Network>,
    #[serde(default, deserialize_with = "or_none")]
    ports: BTreeMap<String, Option<Vec<HostPlace>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Network {
    #[serde(default, deserialize_with = "or_none", rename = "IPAddress")]
    address: String,
    #[serde(default, deserialize_with = "or_none", rename = "GlobalIPv6Address")]
    address6: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostPlace {
    #[serde(default, deserialize_with = "or_none")]
    host_ip: String,
    #[serde(default, deserialize_with = "or_none")]
    host_port: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default, deserialize_with = "or_none")]
    network_mode: String,
}

impl Inspected {
    /// The id of the container whose network this one shares: in a pod, that of its infra container.
    pub(crate) fn network_of(&self) -> Option<&str> {
        self.host_config.network_mode.strip_prefix("container:")
    }

    fn state(&self) -> State {
        match (&self.state, &*self.state.health.status) {
            (state, _) if state.paused => State::Paused,
            (state, _) if !state.running => State::Stopped,
            (_, "unhealthy") => State::Unhealthy,
            _ => State::Running,
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let settings = &self.network_settings;
        let networks = settings.networks.values();
        let texts = networks.flat_map(|network| [&network.address, &network.address6]);
        let texts = texts.chain([&settings.address, &settings.address6]);
        let mut found: Vec<IpAddr> = texts.filter_map(|text| text.parse().ok()).collect();
        found.sort();
        found.dedup();
        found
    }

    fn published(&self) -> Vec<Published> {
        let ports = self.network_settings.ports.iter();
        let place = |place: &HostPlace| {
            let ip = match place.host_ip.parse() {
                Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                Ok(ip) => ip,
                Err(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
            };
            Some(SocketAddr::new(ip, place.host_port.parse().ok()?))
        };
        let published = ports.filter_map(|(port, places)| {
            let port: u16 = port.strip_suffix("/tcp")?.parse().ok()?;
            let places = places.iter().flatten().filter_map(place);
            Some(places.map(move |at| Published { port, at }).collect::<Vec<_>>())
        });
        published.flatten().collect()
    }
}

/// Makes a container of what podman says; `shared`: of the container whose network it shares.
pub(crate) fn container(listed: Listed, own: &Inspected, shared: Option<&Inspected>) -> Container {
    let network = shared.unwrap_or(own);
    Container {
        name: listed.names.into_iter().next().unwrap_or_default(),
        created: listed.created,
        pod: Some(listed.pod_name).filter(|pod| !pod.is_empty()),
        state: own.state(),
        labels: listed.labels,
        addresses: network.addresses(),
        published: network.published(),
        on_host: network.host_config.network_mode == "host",
        id: listed.id,
    }
}

/// `info`, as far as it is of use.
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    host: InfoHost,
    version: InfoVersion,
}

#[derive(Debug, Deserialize)]
struct InfoHost {
    security: InfoSecurity,
}

#[derive(Debug, Deserialize)]
struct InfoSecurity {
    rootless: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InfoVersion {
    version: String,
}

impl From<Info> for Engine {
    fn from(info: Info) -> Self {
        Self { version: info.version.version, rootless: info.host.security.rootless }
    }
}

/// One line of `events`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Event {
    #[serde(default)]
    action: String,
}

impl Event {
    /// Whether it may have changed what is known. Commands inside a container, which health checks
    /// are, come often and change nothing by themselves.
    pub(crate) fn tells(&self) -> bool {
        const QUIET: [&str; 7] =
            ["exec", "exec_died", "attach", "mount", "unmount", "commit", "sync"];
        !QUIET.contains(&&*self.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(state: &str, network: &str, mode: &str) -> Inspected {
        let text = format!(
            r#"{{"State": {state}, "NetworkSettings": {network}, "HostConfig": {{"NetworkMode": "{mode}"}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn listed() -> Listed {
        serde_json::from_str(
            r#"{"Id": "ab12", "Names": ["web"], "PodName": "", "Labels": null, "Created": "2026-11-23"}"#,
        )
        .unwrap()
    }

    #[test]
    fn states() {
        let state = |text: &str| inspected(text, "null", "bridge").state();
        let healthy = r#"{"Running": true, "Health": {"Status": "healthy", "Log": null}}"#;
        assert_eq!(state(healthy), State::Running);
        assert_eq!(state(r#"{"Running": true, "Health": {"Status": ""}}"#), State::Running);
        assert_eq!(state(r#"{"Running": true}"#), State::Running);
        let unhealthy = r#"{"Running": true, "Healthcheck": {"Status": "unhealthy"}}"#;
        assert_eq!(state(unhealthy), State::Unhealthy);
        assert_eq!(state(r#"{"Running": true, "Health": {"Status": "starting"}}"#), State::Running);
        assert_eq!(state(r#"{"Running": true, "Paused": true}"#), State::Paused);
        assert_eq!(state(r#"{"Running": false, "Paused": false}"#), State::Stopped);
    }

    #[test]
    fn addresses_and_ports() {
        let network = r#"{
            "IPAddress": "", "GlobalIPv6Address": "",
            "Networks": {
                "b": {"IPAddress": "10.89.0.2", "GlobalIPv6Address": "fd00::2"},
                "a": {"IPAddress": "10.88.0.9"}
            },
            "Ports": {
                "80/tcp": [{"HostIp": "", "HostPort": "18080"}, {"HostIp": "::", "HostPort": "18081"}],
                "53/udp": [{"HostIp": "", "HostPort": "53"}],
                "81/tcp": null,
                "junk": [{"HostIp": "x", "HostPort": "y"}]
            }
        }"#;
        let own = inspected(r#"{"Running": true}"#, network, "bridge");
        let web = container(listed(), &own, None);
        let addresses: Vec<String> = web.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.88.0.9", "10.89.0.2", "fd00::2"]);
        let published: Vec<String> =
            web.published.iter().map(|p| format!("{} {}", p.port, p.at)).collect();
        assert_eq!(published, ["80 127.0.0.1:18080", "80 [::1]:18081"]);
        assert!(!web.on_host && web.pod.is_none() && web.name == "web");
    }

    #[test]
    fn a_container_in_a_pod_is_where_the_pod_is() {
        let own = inspected(r#"{"Running": true}"#, "null", "container:cd34");
        assert_eq!(own.network_of(), Some("cd34"));
        let infra = inspected(r#"{"Running": true}"#, r#"{"IPAddress": "10.88.0.4"}"#, "bridge");
        let web = container(listed(), &own, Some(&infra));
        assert_eq!(web.addresses, ["10.88.0.4".parse::<IpAddr>().unwrap()]);
        let hosted = inspected(r#"{"Running": true}"#, "null", "host");
        assert!(container(listed(), &hosted, None).on_host);
    }

    #[test]
    fn events_that_tell_nothing() {
        let tells = |text: &str| serde_json::from_str::<Event>(text).unwrap().tells();
        assert!(tells(r#"{"Type": "container", "Action": "start"}"#));
        assert!(tells(r#"{"Action": "health_status"}"#) && tells("{}"));
        assert!(!tells(r#"{"Action": "exec_died"}"#));
    }
}
