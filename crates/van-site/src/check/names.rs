//! Whether the names of the places that links dial can be resolved.

use std::time::Duration;

use futures_util::future::join_all;
use van_model::HostPort;
use van_model::api::CheckLine;

use crate::site::Site;

/// Time for a name's resolution.
const PATIENCE: Duration = Duration::from_secs(5);

/// A link that is up does without its other names.
fn judge(link: &str, host: &str, up: bool, found: Result<Vec<String>, String>) -> CheckLine {
    let what = format!("dns/{host}");
    match found {
        Ok(addresses) => CheckLine::passed(what, addresses.join(", ")),
        Err(why) => {
            let line = if up { CheckLine::warning } else { CheckLine::failed };
            line(what, format!("link {link} dials it, and it can't be resolved: {why}"))
                .hint(format!("try: getent hosts {host}"))
        }
    }
}

async fn resolve(place: &HostPort) -> Result<Vec<String>, String> {
    let asked = tokio::net::lookup_host((place.host(), place.port()));
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => {
            let found: Vec<String> = found.map(|address| address.ip().to_string()).collect();
            if found.is_empty() { Err("it has no address".into()) } else { Ok(found) }
        }
    }
}

impl Site {
    pub(super) async fn check_names(&self) -> Vec<CheckLine> {
        let mut places: Vec<(String, HostPort, bool)> = Vec::new();
        for (name, run) in &self.running.lock().links {
            // A proxy resolves names itself.
            if run.dial.proxy.is_none() {
                let up = !self.links.to(&run.dial.peer).is_empty();
                let named = run.dial.endpoints.iter().filter(|e| e.socket_addr().is_none());
                places.extend(named.map(|endpoint| (name.clone(), endpoint.clone(), up)));
            }
        }
        places.dedup_by(|a, b| a.1 == b.1);
        let asked = places.iter().map(|(link, place, up)| async {
            judge(link, place.host(), *up, resolve(place).await)
        });
        join_all(asked).await
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed, Warning};

    use super::*;

    #[test]
    fn a_name_matters_most_while_its_link_is_down() {
        let found = judge("l", "h.example", false, Ok(vec!["192.0.2.1".into()]));
        assert_eq!((found.outcome, &*found.detail), (Passed, "192.0.2.1"));
        let none = |up| judge("l", "h.example", up, Err("no such name".into()));
        assert_eq!((none(false).outcome, none(true).outcome), (Failed, Warning));
        assert!(none(false).detail.ends_with("can't be resolved: no such name"));
    }

    #[tokio::test]
    async fn names_are_resolved() {
        assert!(resolve(&"localhost:1".parse().unwrap()).await.is_ok());
        assert!(resolve(&"nowhere.invalid:1".parse().unwrap()).await.is_err());
    }
}
