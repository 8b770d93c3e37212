//! Whether the workloads that this site offers answer.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpStream, UnixStream};
use van_model::api::CheckLine;
use van_model::{Check, Target};
use van_proxy::{ConnectorState, Workloads as _};

use crate::site::Site;

/// Time for a connection to a workload.
const PATIENCE: Duration = Duration::from_secs(3);

/// `why`: of a target that does not answer, as far as it is known.
fn judge(name: &str, target: &str, healthy: bool, why: Option<&str>) -> CheckLine {
    let what = format!("connector/{name}");
    match why {
        _ if healthy => CheckLine::passed(what, format!("target {target} answers")),
        None => CheckLine::warning(what, format!("target {target} is being checked")),
        Some(why) => CheckLine::failed(what, format!("target {target}: {why}"))
            .hint("start the workload or correct the target"),
    }
}

/// Connects once to a target that nobody watches.
async fn reach(target: &Target, site: &Site) -> Result<(), String> {
    let connected = async {
        match target {
            Target::Tcp(place) => TcpStream::connect((place.host(), place.port())).await.map(drop),
            Target::Unix(path) => UnixStream::connect(path).await.map(drop),
            Target::Workload(workload) => {
                let places = site.podman.locate(workload).map_err(std::io::Error::other)?;
                TcpStream::connect(&places[..]).await.map(drop)
            }
        }
    };
    match tokio::time::timeout(PATIENCE, connected).await {
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(done) => done.map_err(|error| error.to_string()),
    }
}

async fn workload(state: ConnectorState, site: &Site) -> CheckLine {
    let ConnectorState { spec, mut healthy, mut reason, .. } = state;
    // A watched one is asked often enough; each further connection stands in its log.
    if spec.check == Check::None {
        reason = reach(&spec.target, site).await.err();
        healthy = reason.is_none();
    }
    judge(spec.name.as_str(), &spec.target.to_string(), healthy, reason.as_deref())
}

impl Site {
    pub(super) async fn check_workloads(&self) -> Vec<CheckLine> {
        join_all(self.connectors.all().into_iter().map(|state| workload(state, self))).await
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed, Warning};

    use super::*;

    #[test]
    fn a_target_that_refuses_fails() {
        assert_eq!(judge("pg", "h:1", true, None).outcome, Passed);
        assert_eq!(judge("pg", "h:1", false, None).outcome, Warning);
        let refused = judge("pg", "h:1", false, Some("connection refused"));
        assert_eq!(refused.outcome, Failed);
        assert_eq!(refused.detail, "target h:1: connection refused");
    }
}
