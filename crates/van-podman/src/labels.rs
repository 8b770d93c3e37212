//! What containers offer by their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::str::FromStr;

use van_model::{
    Address, Check, CheckTiming, ConnectorSpec, Name, Protocol, Target, Workload, WorkloadKind,
};

use crate::container::Container;

/// The label that makes a container offer itself.
const ADDRESS: &str = "van.address";

/// What begins every label of ours.
const PREFIX: &str = "van.";

/// Every label, as an error shows them.
const ACCEPTED: &str = "van.address, van.port, van.protocol, van.service-port, van.check, \
                        van.priority, van.weight, van.proxy-protocol";

/// The most characters of a found value that an error repeats.
const SHOWN: usize = 60;

/// What is wrong with a container's labels; a sentence with what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A label that must be there is not.
    #[error("label {0} is missing: write --label {0}={1}")]
    Missing(&'static str, &'static str),
    /// A label's value.
    #[error("label {label}: {found:?} can't be used; accepted: {accepted}")]
    Value {
        /// The label.
        label: &'static str,
        /// What it says, cut to 60 characters.
        found: String,
        /// What it may say.
        accepted: &'static str,
    },
    /// A label that begins with ours and is none.
    #[error("label {0:?} is unknown; accepted: {ACCEPTED}")]
    Unknown(String),
    /// Another connector here offers the address in another way.
    #[error("{address} is offered by {by} already, as {there}; here the labels say {here}")]
    Conflict {
        /// The address.
        address: Address,
        /// The connector or container that was first.
        by: String,
        /// What that says.
        there: String,
        /// What this one says.
        here: String,
    },
}

/// A container whose labels make no connector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The container's name.
    pub container: String,
    /// Why, a sentence.
    pub why: String,
}

/// What containers offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// Connectors by their names: `podman-` and the container's.
    pub connectors: BTreeMap<String, ConnectorSpec>,
    /// Containers whose labels make none.
    pub refused: BTreeSet<Refused>,
}

/// Whether a container's labels want to say something.
pub(crate) fn has_labels(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(ADDRESS)
}

fn shorten(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn value<T: FromStr>(
    labels: &BTreeMap<String, String>,
    label: &'static str,
    accepted: &'static str,
) -> Result<Option<T>, LabelError> {
    let Some(text) = labels.get(label) else { return Ok(None) };
    let wrong = |_| LabelError::Value { label, found: shorten(text), accepted };
    text.trim().parse().map(Some).map_err(wrong)
}

/// The connector that a container's labels make.
fn connector(container: &Container, name: Name) -> Result<ConnectorSpec, LabelError> {
    let labels = &container.labels;
    let known: Vec<&str> = ACCEPTED.split(", ").map(str::trim).collect();
    let unknown = |label: &&String| label.starts_with(PREFIX) && !known.contains(&label.as_str());
    if let Some(label) = labels.keys().find(unknown) {
        return Err(LabelError::Unknown(shorten(label)));
    }
    let port = "a whole number from 1 to 65535";
    let address: Address = value(labels, ADDRESS, "labels of a-z, 0-9 and '-' joined by dots")?
        .ok_or(LabelError::Missing(ADDRESS, "NAME"))?;
    let inside: NonZeroU16 =
        value(labels, "van.port", port)?.ok_or(LabelError::Missing("van.port", "PORT"))?;
    let protocol: Protocol = value(labels, "van.protocol", Protocol::ACCEPTED)?.unwrap_or_default();
    let workload = Workload {
        kind: WorkloadKind::Container,
        name: container.id.as_str().into(),
        port: inside,
    };
    Ok(ConnectorSpec {
        name,
        address,
        protocol,
        target: Target::Workload(workload),
        service_port: value(labels, "van.service-port", port)?,
        check: value(labels, "van.check", Check::ACCEPTED)?.unwrap_or_default(),
        timing: CheckTiming::default(),
        proxy_protocol: value(labels, "van.proxy-protocol", "true, false")?.unwrap_or(false),
        priority: value(labels, "van.priority", "a whole number from 0 to 65535")?.unwrap_or(0),
        weight: value(labels, "van.weight", port)?.unwrap_or(NonZeroU16::MIN),
        tls: None,
    }
    .settled())
}

/// How an address is offered, as far as all must agree.
fn manner(protocol: Protocol, port: Option<NonZeroU16>) -> String {
    match port {
        None => protocol.to_string(),
        Some(port) => format!("{protocol} on port {port}"),
    }
}

/// Says where a container's offer does not go together with another of the same address.
fn conflict(new: &ConnectorSpec, other: &ConnectorSpec) -> Option<LabelError> {
    let ports = other.service_port.zip(new.service_port).is_none_or(|(a, b)| a == b);
    if other.address != new.address || other.protocol == new.protocol && ports {
        return None;
    }
    Some(LabelError::Conflict {
        address: new.address.clone(),
        by: format!("connector {}", other.name),
        there: manner(other.protocol, other.service_port),
        here: manner(new.protocol, new.service_port),
    })
}

/// What running containers offer by their labels, the older ones first.
///
/// `others`: connectors that are wanted otherwise. They go before: a container that does not agree
/// with one about an address, or with an older container, is refused.
pub fn offers<'a>(
    containers: impl Iterator<Item = &'a Container>,
    others: &[&ConnectorSpec],
) -> Offers {
    let mut made: BTreeMap<String, ConnectorSpec> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for container in containers.filter(|c| c.is_running() && has_labels(&c.labels)) {
        let taken =
            |name: &str| made.contains_key(name) || others.iter().any(|c| c.name.as_str() == name);
        let name = name_of(container, taken);
        let fits = connector(container, name).and_then(|new| {
            let mut all = others.iter().copied().chain(made.values());
            all.find_map(|other| conflict(&new, other)).map_or(Ok(new), Err)
        });
        match fits {
            Ok(new) => drop(made.insert(new.name.to_string(), new)),
            Err(why) => {
                let why = why.to_string();
                refused.insert(Refused { container: container.name.clone(), why });
            }
        }
    }
    Offers { connectors: made, refused }
}

/// `podman-` and the container's name, with a part of its id where that is taken.
fn name_of(container: &Container, taken: impl Fn(&str) -> bool) -> Name {
    /// Digits of the id that tell apart what has one name.
    const DIGITS: usize = 6;
    let digits: String = container.id.chars().take(DIGITS).collect();
    let by_id = || format!("podman-{digits}").parse().ok();
    let plain = Name::from_lossy(&format!("podman-{}", container.name));
    let plain = plain.filter(|name| !taken(name.as_str()));
    let longer = || {
        let short: String = container.name.chars().take(Name::MAX - 2 * DIGITS - 3).collect();
        Name::from_lossy(&format!("podman-{short}-{digits}"))
    };
    let fallback = || "podman".parse().expect("the word is a valid name");
    plain.or_else(longer).or_else(by_id).unwrap_or_else(fallback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::State;

    fn container(name: &str, labels: &[(&str, &str)]) -> Container {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Container {
            id: format!("{:0<64}", name.bytes().map(|b| format!("{b:x}")).collect::<String>()),
            name: name.into(),
            created: String::new(),
            pod: None,
            state: State::Running,
            labels: labels.iter().map(pair).collect(),
            addresses: Vec::new(),
            published: Vec::new(),
            on_host: false,
        }
    }

    const ORDERS: [(&str, &str); 2] = [("van.address", "orders"), ("van.port", "8080")];

    fn why(containers: &[Container]) -> String {
        let made = offers(containers.iter(), &[]);
        made.refused.first().map(|refused| refused.why.clone()).unwrap_or_default()
    }

    #[test]
    fn labels_make_a_connector() {
        let more = [("van.service-port", "80"), ("van.weight", "3"), ("other", "x")];
        let web = container("web_1", &[&ORDERS[..], &more[..]].concat());
        let made = offers([&web].into_iter(), &[]);
        let spec = &made.connectors["podman-web-1"];
        assert_eq!(spec.target.to_string(), format!("container/{}:8080", web.id));
        assert_eq!((spec.address.as_str(), spec.protocol), ("orders", Protocol::Tcp));
        assert_eq!((spec.service_port.map(u16::from), spec.weight.get()), (Some(80), 3));
        assert!(made.refused.is_empty());
    }

    #[test]
    fn several_balance_and_those_that_stopped_are_gone() {
        let mut two = container("two", &ORDERS);
        let all = |two: &Container| {
            let containers = [container("one", &ORDERS), two.clone(), container("none", &[])];
            offers(containers.iter(), &[]).connectors.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(all(&two), ["podman-one", "podman-two"]);
        two.state = State::Unhealthy;
        assert_eq!(all(&two).len(), 2);
        two.state = State::Stopped;
        assert_eq!(all(&two), ["podman-one"]);
    }

    #[test]
    fn junk_is_refused_with_what_is_accepted() {
        let of = |labels: &[(&str, &str)]| why(&[container("web", labels)]);
        assert!(of(&[("van.address", "orders")]).contains("van.port is missing"));
        let error = of(&[("van.address", "No Address"), ("van.port", "1")]);
        assert!(error.contains("\"No Address\" can't be used; accepted: labels of"), "{error}");
        for junk in ["0", "65536", "x", "-1", &"9".repeat(1000)] {
            let error = of(&[("van.address", "a"), ("van.port", junk)]);
            assert!(error.contains("label van.port") && error.len() < 200, "{error}");
        }
        let error = of(&[&ORDERS[..], &[("van.adress", "x")]].concat());
        assert!(error.contains("\"van.adress\" is unknown; accepted: van.address"), "{error}");
        let error = of(&[&ORDERS[..], &[("van.protocol", "smtp")]].concat());
        assert!(error.contains("label van.protocol"), "{error}");
        // The rest goes on.
        let containers = [container("bad", &[("van.address", "x y")]), container("good", &ORDERS)];
        assert_eq!(offers(containers.iter(), &[]).connectors.len(), 1);
    }

    #[test]
    fn the_older_container_keeps_an_address_and_the_configuration_goes_first() {
        let port = |port| [ORDERS[0], ORDERS[1], ("van.service-port", port)];
        let error = why(&[container("old", &port("80")), container("new", &port("81"))]);
        assert_eq!(
            error,
            "orders is offered by connector podman-old already, as tcp on port 80; here the labels \
             say tcp on port 81"
        );
        let http = [&ORDERS[..], &[("van.protocol", "http")]].concat();
        let error = why(&[container("old", &ORDERS), container("new", &http)]);
        assert!(error.ends_with("as tcp; here the labels say http"), "{error}");
        let made = offers([container("web", &port("80"))].iter(), &[]);
        let mut other = made.connectors["podman-web"].clone();
        other.service_port = NonZeroU16::new(81);
        let made = offers([container("web", &port("80"))].iter(), &[&other]);
        assert!(made.connectors.is_empty() && made.refused.len() == 1);
        // One of the same name and way stands beside it under another name.
        other.service_port = None;
        let made = offers([container("web", &port("80"))].iter(), &[&other]);
        assert_eq!(made.connectors.keys().collect::<Vec<_>>(), ["podman-web-776562"]);
    }
}
