//! Annotations of Services and workloads that offer them as a Connector would.

use std::num::NonZeroU16;

use van_crd::{Compat, ConnectorSpec, Invalid, Workload};

use crate::object::Meta;

/// What annotations ask for: one connector for each port.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exposed {
    /// The service's name in the network.
    pub(crate) address: String,
    /// The connectors; the ports of several differ.
    pub(crate) connectors: Vec<ConnectorSpec>,
}

/// The prefixes of annotations that are understood, with the one that offers.
const OWN: (&str, &str) = ("vand.dev/", "expose");
const SKUPPER: (&str, &str) = ("skupper.io/", "proxy");

/// What the annotations of an object ask for; `None`: nothing. `workload`: the object itself.
pub(crate) fn exposed(
    meta: &Meta,
    workload: &Workload,
    compat: &Compat,
) -> Option<Result<Exposed, Invalid>> {
    let forms = [Some(OWN), compat.skupper.then_some(SKUPPER)];
    let (prefix, word) = forms
        .into_iter()
        .flatten()
        .find(|(prefix, word)| meta.annotations.contains_key(&format!("{prefix}{word}")))?;
    let get = |name: &str| meta.annotations.get(&format!("{prefix}{name}")).map(String::as_str);
    Some(read(meta, workload, prefix, get(word).unwrap_or_default(), get))
}

fn read<'a>(
    meta: &'a Meta,
    workload: &Workload,
    prefix: &str,
    protocol: &str,
    get: impl Fn(&str) -> Option<&'a str>,
) -> Result<Exposed, Invalid> {
    let field = |name: &str| format!("metadata.annotations[{prefix}{name}]");
    let address = get("address").unwrap_or(&meta.name).to_owned();
    let headless = match get("headless") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(Invalid::new(field("headless"), format!("{other:?} is not true or false")));
        }
    };
    let mut base = ConnectorSpec {
        address: Some(address.clone()),
        protocol: Some(protocol.to_owned()),
        headless,
        ..ConnectorSpec::default()
    };
    match get("target") {
        None => base.workload = Some(workload.to_string()),
        Some(target) if target.contains('/') => base.workload = Some(target.to_owned()),
        Some(host) => base.host = Some(host.to_owned()),
    }
    let mut connectors = Vec::new();
    for pair in get("port").unwrap_or_default().split(',').filter(|text| !text.is_empty()) {
        let (port, target) = pair.split_once(':').unwrap_or((pair, pair));
        let number = |text: &str| {
            let number = text.trim().parse::<NonZeroU16>();
            number.map_err(|_| {
                Invalid::new(
                    field("port"),
                    format!("{pair:?} is no port: write PORT or PORT:TARGETPORT"),
                )
            })
        };
        connectors.push(ConnectorSpec {
            service_port: Some(number(port)?.get().into()),
            port: Some(number(target)?.get().into()),
            ..base.clone()
        });
    }
    if connectors.is_empty() {
        connectors.push(base);
    }
    Ok(Exposed { address, connectors })
}
