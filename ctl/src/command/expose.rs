//! `vanctl expose` and `vanctl unexpose`: connectors without names to think of.

use std::num::NonZeroU16;
use std::str::FromStr;

use clap::Args;
use van_model::api::{ConnectorResource, ConnectorView, List};
use van_model::{Address, Check, EndpointError, Name, Protocol, Source, Target};

use super::connector::{make, port};
use crate::cli::Session;
use crate::client::{Mode, path};
use crate::error::{Exit, Outcome, Problem};

/// How `vanctl expose` is used.
pub(crate) const EXAMPLE: &str = "Examples:\n  vanctl expose 127.0.0.1:2000 --address echo\n  \
    vanctl expose db.lan:5432 --address postgres --port 5432\n  \
    vanctl expose container/pg --port 5432";
/// How `vanctl unexpose` is used.
pub(crate) const UNEXPOSE_EXAMPLE: &str =
    "Examples:\n  vanctl unexpose 127.0.0.1:2000\n  vanctl unexpose --address echo";

/// Kinds of targets that clusters have.
const OF_CLUSTERS: [&str; 5] = ["pods/", "deployment/", "statefulset/", "daemonset/", "service/"];

/// The options of `vanctl expose`.
#[derive(Debug, Args)]
pub(crate) struct Expose {
    /// The workload: HOST:PORT, unix:/path, container/NAME or pod/NAME; in a cluster HOST:PORT,
    /// deployment/NAME, statefulset/NAME, daemonset/NAME, service/NAME or pods/LABEL=VALUE
    target: String,
    /// The service's name in the network; a container or pod has its own by default
    #[arg(long)]
    address: Option<Address>,
    /// The port under which the service appears elsewhere, and the target's where they differ
    #[arg(long, value_name = "P[:TARGETPORT]")]
    port: Option<Ports>,
    /// What the service speaks
    #[arg(long, default_value_t)]
    protocol: Protocol,
    /// Give each pod a name of its own, POD.ADDRESS, beside the one of all; in a cluster only
    #[arg(long)]
    headless: bool,
    #[command(flatten)]
    tls: super::connector::Tls,
    #[command(flatten)]
    wait: super::Wait,
}

/// The options of `vanctl unexpose`.
#[derive(Debug, Args)]
pub(crate) struct Unexpose {
    /// The workload, as it was exposed
    #[arg(required_unless_present = "address")]
    target: Option<String>,
    /// Every workload of this site under this address
    #[arg(long)]
    address: Option<Address>,
}

/// `P` or `P:TARGETPORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    service: NonZeroU16,
    target: Option<NonZeroU16>,
}

impl FromStr for Ports {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (service, target) = match text.split_once(':') {
            Some((service, target)) => (service, Some(port(target)?)),
            None => (text, None),
        };
        Ok(Self { service: port(service)?, target })
    }
}

impl Expose {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let tls = self.tls.read();
        if let Some(cluster) = session.cluster().await? {
            let asked = super::cluster::Exposed {
                target: &self.target,
                address: self.address.as_ref(),
                ports: self
                    .port
                    .map(|ports| (ports.service.get(), ports.target.map(NonZeroU16::get))),
                protocol: self.protocol,
                headless: self.headless,
                tls: tls.as_ref(),
            };
            let manifest = super::cluster::exposed(cluster, &asked).await?;
            return super::cluster::make(session, &manifest, Mode::Replace, self.wait.wait).await;
        }
        if self.headless {
            return Err(Problem::usage("--headless gives each pod a name: that is for a cluster")
                .hint("leave it out here"));
        }
        let target = read_target(&self.target, self.port)?;
        let address = self.address.or_else(|| default_address(&target)).ok_or_else(|| {
            Problem::usage("the service needs a name in the network")
                .hint(format!("vanctl expose {} --address NAME", self.target))
        })?;
        let view = ConnectorView {
            address: Some(address.clone()),
            protocol: self.protocol,
            target: target.clone(),
            service_port: self.port.map(|ports| ports.service),
            check: Check::default(),
            timing: van_model::CheckTiming::default(),
            proxy_protocol: false,
            priority: 0,
            weight: None,
            tls,
        };
        let name = connector_name(session, &address, &target).await?;
        make(session, &name, &view, Mode::Replace, &self.wait).await
    }
}

/// The address' own name, unless another target has it: then `ADDRESS-2` and so on.
async fn connector_name(
    session: &mut Session,
    address: &Address,
    target: &Target,
) -> Outcome<String> {
    let all: List<ConnectorResource> = session.client.read("/v1/connectors").await?;
    // Room for the number is left, so that it never makes the name too long.
    let stem: String = Name::from_lossy(address.as_str())
        .map_or_else(|| "service".into(), |name| name.as_str().chars().take(57).collect());
    let stem = stem.trim_end_matches('-');
    let free = |name: &str| {
        all.items.iter().find(|connector| connector.name == name).is_none_or(|taken| {
            taken.source == Source::Api
                && taken.spec.target == *target
                && taken.spec.address.as_ref().map_or(&*taken.name, Address::as_str)
                    == address.as_str()
        })
    };
    if free(stem) {
        return Ok(stem.into());
    }
    (2..=all.items.len() + 2)
        .map(|number| format!("{stem}-{number}"))
        .find(|name| free(name))
        .ok_or_else(|| Problem::failed("no name is free"))
}

/// A container or pod is offered under its own name.
fn default_address(target: &Target) -> Option<Address> {
    match target {
        Target::Workload(workload) => workload.name.parse().ok(),
        Target::Tcp(_) | Target::Unix(_) => None,
    }
}

/// Reads a target; `HOST`, `container/NAME` and `pod/NAME` take their port from `--port`.
fn read_target(text: &str, ports: Option<Ports>) -> Outcome<Target> {
    if let Some(kind) = OF_CLUSTERS.iter().find(|kind| text.starts_with(**kind)) {
        return Err(Problem::failed(format!(
            "{kind}NAME is of a cluster, and this site is on a host"
        ))
        .hint("name the cluster's site: vanctl --context CONTEXT -n NAMESPACE expose …"));
    }
    let wrong = |error: EndpointError| Problem::usage(error.to_string());
    match (text.parse::<Target>(), ports) {
        (Ok(target), Some(Ports { target: Some(port), .. }))
            if target.port() != Some(port.get()) =>
        {
            Err(Problem::usage(format!("{text} and --port name two different target ports")))
        }
        (Ok(target), _) => Ok(target),
        (Err(EndpointError::NoPort(_) | EndpointError::NoWorkloadPort(_)), Some(ports)) => {
            let port = ports.target.unwrap_or(ports.service);
            format!("{text}:{port}").parse().map_err(wrong)
        }
        (Err(error @ EndpointError::NoWorkloadPort(_)), None) => {
            Err(wrong(error).hint(format!("vanctl expose {text} --port PORT")))
        }
        (Err(error), _) => Err(wrong(error)),
    }
}

/// What is to be exposed no longer: a target, or every port of a container or pod.
enum Meant {
    Target(Target),
    AnyPort(String),
}

impl Meant {
    fn read(text: &str) -> Outcome<Self> {
        match text.parse::<Target>() {
            Err(EndpointError::NoWorkloadPort(_)) => Ok(Self::AnyPort(format!("{text}:"))),
            _ => read_target(text, None).map(Self::Target),
        }
    }

    fn is(&self, target: &Target) -> bool {
        match self {
            Self::Target(meant) => meant == target,
            Self::AnyPort(start) => target.to_string().starts_with(start.as_str()),
        }
    }
}

impl Unexpose {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        if let Some(cluster) = session.cluster().await? {
            let (target, address) = (self.target.as_deref(), self.address.as_ref());
            let names = super::cluster::exposing(cluster, target, address).await?;
            if names.is_empty() {
                let what = self.target.or(self.address.map(|a| a.to_string())).unwrap_or_default();
                return Err(Problem::new(Exit::NotFound, format!("{what} is not exposed here"))
                    .hint("kubectl get connectors lists what is"));
            }
            for name in names {
                let kinds = super::cluster::kinds("connector");
                super::cluster::remove(session, cluster, kinds, &name, ("connector", "deleted"))
                    .await?;
            }
            return Ok(());
        }
        let target = self.target.as_deref().map(Meant::read).transpose()?;
        let all: List<ConnectorResource> = session.client.read("/v1/connectors").await?;
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for connector in all.items {
            let address = connector.spec.address.as_ref().map_or(&*connector.name, Address::as_str);
            let meant = target.as_ref().is_none_or(|target| target.is(&connector.spec.target))
                && self.address.as_ref().is_none_or(|wanted| wanted.as_str() == address);
            if meant && connector.source == Source::Api {
                mine.push(connector.name);
            } else if meant {
                others.push(connector.name);
            }
        }
        // What a file says can't be removed here; the daemon's refusal names the file.
        let names = if mine.is_empty() { others } else { mine };
        if names.is_empty() {
            let what = match (&target, &self.address) {
                (Some(_), _) => self.target.unwrap_or_default(),
                (None, Some(address)) => address.to_string(),
                (None, None) => String::new(),
            };
            return Err(Problem::new(Exit::NotFound, format!("{what} is not exposed here"))
                .hint("vanctl connector status lists what is"));
        }
        for name in names {
            session.client.delete(&path("connectors", &name)).await?;
            session.output.gone("connector", &name, "deleted")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_ports() {
        let read = |text, ports: Option<&str>| {
            read_target(text, ports.map(|ports| ports.parse().unwrap()))
                .map(|target| target.to_string())
        };
        assert_eq!(read("db:1", None).as_deref(), Ok("db:1"));
        assert_eq!(read("db", Some("1:2")).as_deref(), Ok("db:2"));
        assert_eq!(read("db", Some("1")).as_deref(), Ok("db:1"));
        assert_eq!(read("db:2", Some("1:2")).as_deref(), Ok("db:2"));
        assert_eq!(read("unix:/run/x", Some("1")).as_deref(), Ok("unix:/run/x"));
        assert_eq!(read("container/pg", Some("5432")).as_deref(), Ok("container/pg:5432"));
        assert_eq!(read("pod/shop", Some("80:8080")).as_deref(), Ok("pod/shop:8080"));
        assert_eq!(read("container/pg:1", None).as_deref(), Ok("container/pg:1"));
        for (text, ports, exit) in [
            ("db", None, Exit::Usage),
            ("db:3", Some("1:2"), Exit::Usage),
            ("unix:x", None, Exit::Usage),
            ("pod/shop", None, Exit::Usage),
            ("container/a b", Some("80"), Exit::Usage),
            ("deployment/shop", Some("80"), Exit::Failed),
        ] {
            assert_eq!(read(text, ports).unwrap_err().exit, exit, "{text}");
        }
        let pg = "container/pg:5432".parse().unwrap();
        assert!(Meant::read("container/pg").unwrap().is(&pg));
        assert!(!Meant::read("container/p").unwrap().is(&pg));
        assert!(Meant::read("container/pg:5432").unwrap().is(&pg));
        for bad in ["", "0", "1:0", "1:2:3", "x"] {
            assert!(bad.parse::<Ports>().is_err(), "{bad:?}");
        }
    }
}
