//! Where a workload is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use van_model::{Workload, WorkloadKind};

use crate::container::{Container, State};
use crate::snapshot::Snapshot;

/// Why a workload can't be reached; a sentence with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unlocated {
    /// No podman was asked yet.
    #[error("podman is being asked")]
    Asking,
    /// No podman can be asked.
    #[error("podman can't be asked: {0}")]
    Unknown(String),
    /// There is none of that name.
    #[error("there is no {kind} {name}: 'podman {list}' shows those that are")]
    Nothing {
        /// What was looked for.
        kind: WorkloadKind,
        /// Its name.
        name: Box<str>,
        /// The command that lists such.
        list: &'static str,
    },
    /// It is there and can't take flows.
    #[error("{kind} {name} is {state}")]
    NotServing {
        /// What it is.
        kind: WorkloadKind,
        /// Its name.
        name: Box<str>,
        /// What it does instead, and what to do.
        state: &'static str,
    },
    /// This host has no way to it.
    #[error(
        "{kind} {name} has no address that this host reaches and publishes no port {port}: publish \
         it with 'podman run -p 127.0.0.1::{port}'"
    )]
    NoWay {
        /// What it is.
        kind: WorkloadKind,
        /// Its name.
        name: Box<str>,
        /// The port inside.
        port: u16,
    },
}

/// The fewest digits of an id that stand for a container.
const ID_DIGITS: usize = 12;

/// Whether a name is the beginning of this id, long enough to mean it.
pub(crate) fn is_id_of(name: &str, id: &str) -> bool {
    name.len() >= ID_DIGITS && id.starts_with(name)
}

fn is_meant(container: &Container, workload: &Workload) -> bool {
    match workload.kind {
        WorkloadKind::Pod => container.pod.as_deref() == Some(&*workload.name),
        WorkloadKind::Container => {
            container.name == *workload.name || is_id_of(&workload.name, &container.id)
        }
    }
}

/// Where this host reaches a workload, the best place first; at least one.
///
/// Of several podmans that have one of this name, the first with a running one counts.
pub fn locate<'a>(
    workload: &Workload,
    podmans: impl Iterator<Item = &'a Snapshot>,
) -> Result<Vec<SocketAddr>, Unlocated> {
    let (mut worst, mut troubles, mut asking) = (None, Vec::new(), false);
    for podman in podmans {
        match within(workload, podman) {
            Some(Ok(places)) => return Ok(places),
            Some(Err(why)) => worst = worst.or(Some(why)),
            None => {}
        }
        asking |= !podman.is_known();
        let trouble = podman.trouble.as_ref();
        troubles.extend(trouble.map(|why| format!("{}: {why}", podman.socket.display())));
    }
    let known = !asking && troubles.is_empty();
    Err(match worst {
        Some(why) => why,
        None if asking => Unlocated::Asking,
        None if !known => Unlocated::Unknown(troubles.join("; ")),
        None => Unlocated::Nothing {
            kind: workload.kind,
            name: workload.name.clone(),
            list: match workload.kind {
                WorkloadKind::Container => "ps --all",
                WorkloadKind::Pod => "pod ps",
            },
        },
    })
}

/// Where one podman has it; `None`: it has none of that name.
fn within(workload: &Workload, podman: &Snapshot) -> Option<Result<Vec<SocketAddr>, Unlocated>> {
    let meant: Vec<&Container> = podman
        .containers
        .iter()
        .map(|container| &**container)
        .filter(|container| is_meant(container, workload))
        .collect();
    let first = *meant.first()?;
    let (kind, name) = (workload.kind, workload.name.clone());
    // A pod's containers are at one place; it serves as soon as one of them runs.
    let serving = |c: &&&Container| matches!(c.state, State::Running);
    let Some(serving) = meant.iter().find(serving) else {
        let state = match meant.iter().find(|c| c.is_running()).unwrap_or(&first).state {
            State::Unhealthy => "unhealthy: its health check fails, see 'podman inspect'",
            State::Paused => "paused: 'podman unpause' lets it go on",
            State::Stopped | State::Running => "stopped: 'podman start' starts it",
        };
        return Some(Err(Unlocated::NotServing { kind, name, state }));
    };
    let places = places(serving, workload.port.get(), podman.is_rootless());
    if places.is_empty() {
        return Some(Err(Unlocated::NoWay { kind, name, port: workload.port.get() }));
    }
    Some(Ok(places))
}

fn places(container: &Container, port: u16, rootless: bool) -> Vec<SocketAddr> {
    if container.on_host {
        return vec![(IpAddr::V4(Ipv4Addr::LOCALHOST), port).into()];
    }
    // The networks of a rootless podman are in a namespace of their own.
    if !rootless && !container.addresses.is_empty() {
        return container.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    }
    let published = container.published.iter().filter(|published| published.port == port);
    published.map(|published| published.at).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::container::Published;
    use crate::snapshot::Engine;

    fn container(name: &str, state: State) -> Container {
        Container {
            id: format!("{name}0123456789abcdef"),
            name: name.into(),
            created: String::new(),
            pod: None,
            state,
            labels: BTreeMap::new(),
            addresses: vec!["10.88.0.9".parse().unwrap()],
            published: vec![Published { port: 80, at: "127.0.0.1:18080".parse().unwrap() }],
            on_host: false,
        }
    }

    fn podman(rootless: bool, containers: Vec<Container>) -> Snapshot {
        Snapshot {
            engine: Some(Engine { version: "5".into(), rootless }),
            containers: containers.into_iter().map(Arc::new).collect(),
            ..Snapshot::new("/run/p.sock".into())
        }
    }

    fn find(workload: &str, podman: &Snapshot) -> Result<Vec<String>, String> {
        find_in(workload, std::slice::from_ref(podman))
    }

    fn find_in(workload: &str, podmans: &[Snapshot]) -> Result<Vec<String>, String> {
        let found = locate(&workload.parse().unwrap(), podmans.iter());
        let texts = |places: Vec<SocketAddr>| places.iter().map(ToString::to_string).collect();
        found.map(texts).map_err(|why| why.to_string())
    }

    #[test]
    fn by_its_address_and_without_root_by_its_published_port() {
        let rootful = podman(false, vec![container("web", State::Running)]);
        assert_eq!(find("container/web:80", &rootful).unwrap(), ["10.88.0.9:80"]);
        assert_eq!(find("container/web:81", &rootful).unwrap(), ["10.88.0.9:81"]);
        let id = "container/web012345678:80";
        assert_eq!(find(id, &rootful).unwrap(), ["10.88.0.9:80"]);
        let rootless = podman(true, vec![container("web", State::Running)]);
        assert_eq!(find("container/web:80", &rootless).unwrap(), ["127.0.0.1:18080"]);
        let error = find("container/web:81", &rootless).unwrap_err();
        assert!(error.contains("-p 127.0.0.1::81"), "{error}");
        let mut hosted = container("web", State::Running);
        hosted.on_host = true;
        assert_eq!(
            find("container/web:81", &podman(true, vec![hosted])).unwrap(),
            ["127.0.0.1:81"]
        );
    }

    #[test]
    fn a_pod_serves_as_soon_as_one_of_its_containers_runs() {
        let of_pod =
            |name: &str, state| Container { pod: Some("shop".into()), ..container(name, state) };
        let half = podman(false, vec![of_pod("a", State::Stopped), of_pod("b", State::Running)]);
        assert_eq!(find("pod/shop:80", &half).unwrap(), ["10.88.0.9:80"]);
        let down = podman(false, vec![of_pod("a", State::Stopped)]);
        assert!(find("pod/shop:80", &down).unwrap_err().contains("is stopped"));
    }

    #[test]
    fn the_first_podman_with_a_running_one_counts() {
        let stopped = podman(false, vec![container("web", State::Stopped)]);
        let running = podman(true, vec![container("web", State::Running)]);
        assert_eq!(find_in("container/web:80", &[stopped, running]).unwrap(), ["127.0.0.1:18080"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let none = find_in("container/web:80", &[]).unwrap_err();
        assert!(none.contains("there is no container web"), "{none}");
        let unknown = Snapshot::new("/run/p.sock".into());
        assert_eq!(find("pod/web:80", &unknown).unwrap_err(), "podman is being asked");
        let troubled = Snapshot { trouble: Some("refused".into()), ..unknown };
        let error = find("pod/web:80", &troubled).unwrap_err();
        assert_eq!(error, "podman can't be asked: /run/p.sock: refused");
        for (state, word) in [
            (State::Unhealthy, "unhealthy"),
            (State::Paused, "paused"),
            (State::Stopped, "stopped"),
        ] {
            let error = find("container/web:80", &podman(false, vec![container("web", state)]));
            assert!(error.as_ref().is_err_and(|e| e.contains(word)), "{error:?}");
        }
        // What was known serves on while podman is away.
        let away = Snapshot {
            trouble: Some("refused".into()),
            ..podman(false, vec![container("web", State::Running)])
        };
        assert_eq!(find("container/web:80", &away).unwrap(), ["10.88.0.9:80"]);
    }
}
