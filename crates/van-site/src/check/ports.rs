//! Whether others can link here: the link ports, and the places that tokens name.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use van_model::HostPort;
use van_model::api::CheckLine;

use crate::site::Site;

/// Time for a connection to a place that tokens name.
const PATIENCE: Duration = Duration::from_secs(3);

fn bound(address: &str, why_not: Option<&str>) -> CheckLine {
    let what = format!("accept/{address}");
    match why_not {
        None => CheckLine::passed(what, "links are accepted"),
        // What it says to do stands behind the reason.
        Some(why) => CheckLine::failed(what, why.split("; ").next().unwrap_or(why))
            .hint("free the port ('ss -ltnp') or change accept.listen; it is tried again"),
    }
}

/// A router in front of a site may keep it from reaching its own outer address, which others reach
/// all the same.
fn advertised(place: &str, why_not: Option<&str>) -> CheckLine {
    let what = format!("advertise/{place}");
    match why_not {
        None => CheckLine::passed(what, "it can be reached from here"),
        Some(why) => CheckLine::warning(what, format!("it can't be reached from here: {why}"))
            .hint("tokens name it: check accept.advertise, the firewall and port forwarding"),
    }
}

async fn reach(place: &HostPort) -> Result<(), String> {
    let connected = TcpStream::connect((place.host(), place.port()));
    match tokio::time::timeout(PATIENCE, connected).await {
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) => Ok(()),
    }
}

impl Site {
    pub(super) async fn check_ports(&self) -> Vec<CheckLine> {
        let mut lines: Vec<CheckLine> = {
            let running = self.running.lock();
            let each = running.accepts.iter();
            each.map(|(address, run)| {
                bound(&address.to_string(), run.as_ref().err().map(String::as_str))
            })
            .collect()
        };
        let (places, own) = (self.advertised(), self.accepting());
        let reached = places.iter().map(|place| async {
            // A place that is bound here answers; to connect would be told as a refusal.
            let is_own = place.socket_addr().is_some_and(|address| own.contains(&address));
            let why_not = if is_own { None } else { reach(place).await.err() };
            advertised(&place.to_string(), why_not.as_deref())
        });
        lines.extend(join_all(reached).await);
        lines
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed, Warning};

    use super::*;

    #[test]
    fn a_taken_port_fails_and_a_hidden_one_is_a_warning() {
        assert_eq!(bound("[::]:8263", None).outcome, Passed);
        assert_eq!(bound("[::]:8263", Some("in use")).outcome, Failed);
        assert_eq!(bound("[::]:8263", Some("in use; free it")).detail, "in use");
        assert_eq!(advertised("h:1", None).outcome, Passed);
        let hidden = advertised("h:1", Some("refused"));
        assert_eq!(hidden.outcome, Warning);
        assert_eq!(hidden.detail, "it can't be reached from here: refused");
    }
}
