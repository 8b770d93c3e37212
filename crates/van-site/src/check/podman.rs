//! Whether the podmans that connectors need can be asked, and whether labels can be followed.

use std::sync::Arc;

use van_model::api::CheckLine;
use van_podman::Snapshot;

use crate::podman::PodmanState;
use crate::site::Site;

/// The oldest podman whose API is known to answer.
const OLDEST: u32 = 4;

fn podman(snapshot: &Arc<Snapshot>) -> Vec<CheckLine> {
    let socket = snapshot.socket.display();
    let what = format!("podman{socket}");
    let reach = match (&snapshot.trouble, &snapshot.engine) {
        (Some(why), _) => {
            let kept = snapshot.containers.len();
            CheckLine::failed(what, format!("podman can't be asked: {why}")).hint(format!(
                "the {kept} containers that are known stay; see 'systemctl status podman.socket'"
            ))
        }
        (None, None) => CheckLine::warning(what, "podman is being asked"),
        (None, Some(engine)) => {
            let whose = if engine.rootless { "a user's" } else { "root's" };
            let text = format!(
                "podman {}, {whose}, has {} containers; {} are of interest",
                engine.version,
                snapshot.total,
                snapshot.containers.len()
            );
            CheckLine::passed(what, text)
        }
    };
    let mut lines = vec![reach];
    if let Some(engine) = &snapshot.engine {
        let major = engine.version.split('.').next().and_then(|number| number.parse().ok());
        if major.is_some_and(|major: u32| major < OLDEST) {
            let text = format!("podman {} is older than {OLDEST}", engine.version);
            let line = CheckLine::warning(format!("podman{socket}/version"), text);
            lines.push(line.hint(format!("install podman {OLDEST} or newer")));
        }
    }
    lines
}

fn judge(state: &PodmanState) -> Vec<CheckLine> {
    if state.snapshots.is_empty() {
        let text = "no connector names a container or pod, and labels expose nothing";
        return vec![CheckLine::passed("podman", text)];
    }
    let mut lines: Vec<CheckLine> = state.snapshots.iter().flat_map(podman).collect();
    for user in &state.unknown_users {
        let text = format!("podman.users names {user}, whom this host does not know");
        let line = CheckLine::failed(format!("podman/user/{user}"), text);
        lines.push(line.hint("correct podman.users; 'getent passwd' lists users"));
    }
    for refused in &state.refused {
        let what = format!("podman/labels/{}", refused.container);
        let line = CheckLine::warning(what, refused.why.clone());
        lines.push(line.hint("make the container anew with correct labels"));
    }
    lines
}

impl Site {
    pub(super) fn check_podman(&self) -> Vec<CheckLine> {
        judge(&self.podman.state())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use van_model::api::CheckOutcome::{Failed, Passed, Warning};
    use van_podman::{Engine, Refused};

    use super::*;

    #[test]
    fn what_is_wrong_with_podman_is_told() {
        let new = Snapshot::new("/run/p.sock".into());
        let engine = |version: &str| Some(Engine { version: version.into(), rootless: true });
        let outcomes = |snapshots: Vec<Snapshot>| {
            let state = PodmanState {
                snapshots: snapshots.into_iter().map(Arc::new).collect(),
                unknown_users: Vec::new(),
                refused: BTreeSet::new(),
            };
            judge(&state).into_iter().map(|line| line.outcome).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(vec![]), [Passed]);
        assert_eq!(outcomes(vec![new.clone()]), [Warning]);
        let well = Snapshot { engine: engine("5.4.2"), ..new.clone() };
        assert_eq!(outcomes(vec![well]), [Passed]);
        let old = Snapshot { engine: engine("3.0.1"), ..new.clone() };
        assert_eq!(outcomes(vec![old]), [Passed, Warning]);
        let away = Snapshot { trouble: Some("refused".into()), ..new };
        assert_eq!(outcomes(vec![away]), [Failed]);
    }

    #[test]
    fn unknown_users_and_junk_labels_are_told() {
        let refused = Refused { container: "web".into(), why: "label van.port is missing".into() };
        let state = PodmanState {
            snapshots: vec![Arc::new(Snapshot::new("/run/p.sock".into()))],
            unknown_users: vec!["alice".into()],
            refused: [refused].into(),
        };
        let lines = judge(&state);
        assert_eq!(lines[1].detail, "podman.users names alice, whom this host does not know");
        assert_eq!((lines[1].outcome, lines[2].outcome), (Failed, Warning));
    }
}
