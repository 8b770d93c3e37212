//! Whether services that appear here have addresses and names, and whether the host knows the names.

use std::net::IpAddr;
use std::time::Duration;

use van_model::api::CheckLine;

use crate::naming::NamingState;
use crate::site::Site;

/// Time for the host's resolver.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where imported services have their addresses, and who answers their names.
fn naming(state: &NamingState) -> [CheckLine; 2] {
    let subnet = "services/subnet";
    let names = "services/names";
    let network = match &state.instead {
        None => CheckLine::passed(subnet, format!("services appear in {}", state.network)),
        Some(why) => {
            let detail =
                format!("services appear in {}, for this host alone: {why}", state.network);
            CheckLine::warning(subnet, detail).hint(
                "containers need an own subnet: give the daemon CAP_NET_ADMIN, or choose another \
                 network with services.subnet",
            )
        }
    };
    let server = match &state.server {
        Ok(None) => CheckLine::passed(names, "names are turned off"),
        Ok(Some((place, count))) => {
            CheckLine::passed(names, format!("{place} answers {count} names"))
        }
        Err(why) => CheckLine::warning(names, format!("services have no names: {why}"))
            .hint("set services.domain, or free the port"),
    };
    [network, server]
}

/// Whether the host's own resolver finds a service's name.
fn resolver(name: &str, wanted: IpAddr, found: Result<Vec<IpAddr>, String>) -> CheckLine {
    let what = "dns/resolver";
    let hint = "systemd-resolved learns of the names by vand-names.path: systemctl status \
                vand-names.path systemd-resolved; where resolved.conf names servers of its own, they are \
                asked instead: give them to a link; without resolved ask the name server above";
    match found {
        Ok(found) if found.contains(&wanted) => {
            CheckLine::passed(what, format!("this host resolves {name} to {wanted}"))
        }
        Ok(found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            let text = format!("this host resolves {name} to {}, not {wanted}", found.join(", "));
            CheckLine::warning(what, text).hint(hint)
        }
        Err(why) => {
            CheckLine::warning(what, format!("this host can't resolve {name}: {why}")).hint(hint)
        }
    }
}

impl Site {
    pub(super) async fn check_naming(&self) -> Vec<CheckLine> {
        let Some(state) = self.naming.state() else {
            return vec![CheckLine::passed("services/subnet", "no service appears here by itself")];
        };
        let mut lines: Vec<CheckLine> = naming(&state).into();
        let first = self.imports.all().into_iter().find(|import| import.state.is_ok());
        if let (Ok(Some(_)), Some(import)) = (&state.server, first) {
            let domain = self.loaded.lock().config.services.domain.clone();
            let name = format!("{}.{domain}", import.address.name());
            let asked = tokio::net::lookup_host((name.as_str(), import.place.port()));
            let found = match tokio::time::timeout(PATIENCE, asked).await {
                Err(_) => Err("no answer in time".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Ok(Ok(found)) => Ok(found.map(|place| place.ip()).collect()),
            };
            lines.push(resolver(&name, import.place.ip(), found));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Passed, Warning};

    use super::*;

    #[test]
    fn the_fallback_and_a_missing_name_server_are_told() {
        let network = "198.18.0.0/16".parse().unwrap();
        let place = "198.18.0.1:53".parse().unwrap();
        let well = NamingState { network, instead: None, server: Ok(Some((place, 3))) };
        assert_eq!(naming(&well).map(|line| line.outcome), [Passed, Passed]);
        let ill = NamingState { network, instead: Some("why".into()), server: Err("why".into()) };
        assert_eq!(naming(&ill).map(|line| line.outcome), [Warning, Warning]);
        let off = NamingState { network, instead: None, server: Ok(None) };
        assert_eq!(naming(&off)[1].outcome, Passed);
    }

    #[test]
    fn the_hosts_resolver_must_find_the_services_own_address() {
        let wanted: IpAddr = "198.18.0.5".parse().unwrap();
        assert_eq!(resolver("n", wanted, Ok(vec![wanted])).outcome, Passed);
        let other = resolver("n", wanted, Ok(vec!["192.0.2.1".parse().unwrap()]));
        assert_eq!(other.detail, "this host resolves n to 192.0.2.1, not 198.18.0.5");
        assert_eq!(resolver("n", wanted, Err("none".into())).outcome, Warning);
    }
}
