//! Whether services can be used here: listeners, imports, and offers that don't go together.

use van_model::api::{CheckLine, ListenerResource, ServiceResource};

use crate::site::Site;

/// Days before the end of a certificate from which on it is told.
const SOON: i64 = 14;

/// Names that one line lists.
const SHOWN: usize = 10;

fn listener(listener: &ListenerResource) -> CheckLine {
    let what = format!("listener/{}", listener.name);
    let ready = listener.status.conditions.get("Ready");
    let message = ready.map(|condition| condition.message.clone()).unwrap_or_default();
    match &listener.status.bound {
        None => CheckLine::failed(what, message)
            .hint("free the place or choose another bind; it is tried again"),
        Some(_) if listener.status.targets == 0 => CheckLine::warning(what, message)
            .hint("'vanctl service status' shows where targets are"),
        Some(bound) if !listener.status.accepting => {
            CheckLine::warning(what, format!("clients at {bound} are refused: {message}"))
        }
        Some(bound) => CheckLine::passed(what, format!("clients are accepted at {bound}")),
    }
}

/// The certificate with which a listener ends TLS, where it does.
fn certificate(listener: &ListenerResource, now: jiff::Timestamp) -> Option<CheckLine> {
    let what = format!("listener/{}/certificate", listener.name);
    let end = listener.status.certificate_expires?;
    let hint = "replace the files that its tls names; they are read again within 5 s";
    let days = end.duration_since(now).as_hours().div_euclid(24);
    Some(match days {
        ..0 => CheckLine::failed(what, format!("it expired at {end}")).hint(hint),
        0..SOON => CheckLine::warning(what, format!("it expires at {end}")).hint(hint),
        _ => CheckLine::passed(what, format!("it is valid for {days} days")),
    })
}

fn import(address: &str, place: &str, why_not: Option<&str>) -> CheckLine {
    let what = format!("import/{address}");
    match why_not {
        None => CheckLine::passed(what, format!("it appears at {place}")),
        Some(why) => CheckLine::warning(what, format!("it can't appear at {place}: {why}"))
            .hint("free the place, or leave it out of services.import"),
    }
}

/// Only what is wrong: that a service has no conflict is no news.
fn conflict(service: &ServiceResource) -> Option<CheckLine> {
    let ready = service.status.conditions.get("Ready");
    let conflict = ready.filter(|condition| condition.reason == "Conflict")?;
    let line = CheckLine::warning(format!("service/{}", service.name), &*conflict.message);
    Some(line.hint("make the connectors of all sites agree on protocol and service port"))
}

/// Services that nobody can use now.
fn targets(services: &[ServiceResource]) -> CheckLine {
    let what = "services/targets";
    let without = services.iter().filter(|s| s.status.targets.values().sum::<usize>() == 0);
    let names: Vec<&str> = without.map(|service| &*service.name).take(SHOWN).collect();
    if names.is_empty() {
        return CheckLine::passed(what, format!("all {} services have targets", services.len()));
    }
    CheckLine::warning(what, format!("without a healthy target: {}", names.join(", ")))
        .hint("'vanctl connector status' at the sites that should offer them says why")
}

impl Site {
    pub(super) fn check_services(&self) -> Vec<CheckLine> {
        let listeners = self.listener_resources();
        let mut lines: Vec<_> = listeners.iter().map(listener).collect();
        let now = jiff::Timestamp::now();
        lines.extend(listeners.iter().filter_map(|listener| certificate(listener, now)));
        lines.extend(self.imports.all().iter().map(|found| {
            let why_not = found.state.as_ref().err().map(String::as_str);
            import(found.address.as_str(), &found.place.to_string(), why_not)
        }));
        lines.push(targets(&self.service_resources()));
        lines.extend(self.service_resources().iter().filter_map(conflict));
        lines
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed, Warning};
    use van_model::api::{ListenerView, Resource, Source};
    use van_model::status::ListenerStatus;
    use van_model::{Conditions, Strategy};

    use super::*;

    fn with(bound: Option<&str>, targets: usize, accepting: bool) -> CheckLine {
        let mut conditions = Conditions::default();
        conditions.set_ready(jiff::Timestamp::UNIX_EPOCH, false, "X", "why");
        let spec = ListenerView {
            address: None,
            protocol: van_model::Protocol::Tcp,
            bind: "127.0.0.1:1".parse().unwrap(),
            strategy: Strategy::Balanced,
            addresses: Vec::new(),
            udp_idle_ms: None,
            routes: Vec::new(),
            tls: None,
        };
        let status = ListenerStatus {
            certificate_expires: None,
            datagrams: None,
            bound: bound.map(str::to_owned),
            accepting,
            targets,
            flows_open: 0,
            flows_total: 0,
            conditions,
        };
        let name = "web".into();
        listener(&Resource { name, source: Source::Api, file: None, spec, status })
    }

    #[test]
    fn listeners() {
        let taken = with(None, 1, false);
        assert_eq!((taken.outcome, &*taken.what, &*taken.detail), (Failed, "listener/web", "why"));
        assert_eq!(with(Some("h:1"), 0, false).outcome, Warning);
        assert_eq!(with(Some("h:1"), 1, false).detail, "clients at h:1 are refused: why");
        assert_eq!(with(Some("h:1"), 1, true).outcome, Passed);
    }

    #[test]
    fn imports() {
        assert_eq!(import("db", "127.77.0.1:1", None).outcome, Passed);
        let failed = import("db", "127.77.0.1:1", Some("in use"));
        assert_eq!(failed.outcome, Warning);
        assert_eq!(failed.detail, "it can't appear at 127.77.0.1:1: in use");
    }
}
