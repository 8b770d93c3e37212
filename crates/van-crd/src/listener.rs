//! `Listener`: a service of the network offered in this namespace under a name of its own.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use van_model::{Address, AddressChoice, Bind, Protocol, RouteSpec, Strategy};

use crate::invalid::{Invalid, in_range, parse};
use crate::link::object_name;
use crate::status::Condition;
use crate::tls::ListenerTls;

/// A Listener makes a Service in this namespace behind which clients find an address of the network.
/// Services of other sites appear by themselves (spec.services.import of the Site); a Listener is for
/// another name or port, for a strategy, for routes, or for TLS.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "Listener",
    namespaced,
    status = "ListenerStatus",
    shortname = "vlistener",
    category = "vand",
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".status.address"}"#,
    printcolumn = r#"{"name":"Port","type":"integer","jsonPath":".spec.port"}"#,
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".spec.protocol"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSpec {
    /// The service's name in the network, NAME or NAME:PORT. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name of the Service that is made. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub host: Option<String>,
    /// The Service's port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,
    /// What the service speaks: tcp, http, http2 or udp. Default: tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["tcp", "http", "http2", "udp", null]))]
    pub protocol: Option<String>,
    /// How a target is chosen: balanced, local-first, failover or weighted. Default: balanced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["balanced", "local-first", "failover", "weighted", null]))]
    pub strategy: Option<String>,
    /// Several addresses in the order of failover, each ADDRESS or ADDRESS=WEIGHT. Default: the address
    /// alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Where requests go by what they ask for, in the order of the Gateway API: host, path, path_exact,
    /// method, headers, query, to, rewrite_host, rewrite_path, set_headers, remove_headers, timeout_ms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::routes")]
    pub routes: Vec<Value>,
    /// TLS of the clients, ended here. Default: their bytes as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Of datagrams: seconds without one after which a client's session ends, 1 to 3600. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub udp_idle_seconds: Option<i64>,
}

/// What is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Ready: the Service is there and clients are served. HasTarget: a target can be reached now.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The generation that was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The service's name in the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Targets in the whole network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<i64>,
}

impl ListenerSpec {
    /// The name of its Service.
    pub fn host<'a>(&'a self, object: &'a str) -> &'a str {
        self.host.as_deref().unwrap_or(object)
    }

    /// The Service's port.
    ///
    /// # Errors
    /// It is not 1 to 65535.
    pub fn port(&self) -> Result<u16, Invalid> {
        let port: u16 = in_range("spec.port", self.port, "from 1 to 65535")?;
        if port == 0 {
            Err(Invalid::new("spec.port", "0 is not from 1 to 65535"))
        } else {
            Ok(port)
        }
    }

    /// What it speaks.
    ///
    /// # Errors
    /// A word that is not known.
    pub fn protocol(&self) -> Result<Protocol, Invalid> {
        Ok(parse("spec.protocol", self.protocol.as_deref())?.unwrap_or_default())
    }

    /// The listener as the daemon wants it. `bind`: where it listens in the pod; `file`: where a key of
    /// a Secret is found as a file.
    ///
    /// # Errors
    /// The first field that can't be used.
    pub fn to_spec(
        &self,
        object: &str,
        bind: Bind,
        file: impl Fn(&str, &str) -> String,
    ) -> Result<van_model::ListenerSpec, Invalid> {
        self.port()?;
        let name = object_name(object)?;
        let address: Address =
            self.address.as_deref().unwrap_or(object).parse().map_err(|why| {
                let field = self.address.as_ref().map_or("metadata.name", |_| "spec.address");
                Invalid::new(field, why)
            })?;
        let mut spec = van_model::ListenerSpec::new(name, address, bind);
        spec.protocol = self.protocol()?;
        let strategy: Option<Strategy> = parse("spec.strategy", self.strategy.as_deref())?;
        spec.strategy = strategy.unwrap_or_default();
        for (n, choice) in self.addresses.iter().enumerate() {
            let choice: AddressChoice =
                choice.parse().map_err(|why| Invalid::new(format!("spec.addresses[{n}]"), why))?;
            spec.addresses.push(choice);
        }
        for (n, route) in self.routes.iter().enumerate() {
            let route: RouteSpec = serde_json::from_value(route.clone())
                .map_err(|why| Invalid::new(format!("spec.routes[{n}]"), why))?;
            spec.routes.push(route);
        }
        if let Some(seconds) = self.udp_idle_seconds {
            let seconds: u32 = in_range("spec.udpIdleSeconds", seconds, "from 1 to 3600")?;
            spec.udp_idle_ms = Some(u64::from(seconds) * 1000);
        }
        spec.tls = self.tls.as_ref().map(|tls| van_model::ListenerTls {
            certificate: file(&tls.secret, "tls.crt"),
            key: file(&tls.secret, "tls.key"),
            client_ca: tls.verify_clients.then(|| file(&tls.secret, "ca.crt")),
        });
        spec.check().map_err(|why| Invalid::new("spec", why))?;
        Ok(spec)
    }
}
