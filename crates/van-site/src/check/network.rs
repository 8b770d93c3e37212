//! Whether the sites of the network can be told apart, reached, and are of one version.

use std::collections::BTreeMap;

use van_model::api::{CheckLine, NetworkSite};

use crate::network_view;
use crate::site::Site;

fn judge(sites: &[NetworkSite]) -> Vec<CheckLine> {
    let mut lines = vec![reached(sites)];
    lines.extend(unreachable(sites));
    lines.extend(same_names(sites));
    lines
}

fn reached(sites: &[NetworkSite]) -> CheckLine {
    let others = sites.iter().filter(|site| !site.this_site);
    let (there, reached) = (others.clone().count(), others.filter(|s| s.reachable).count());
    match there {
        0 => CheckLine::passed("network", "this site knows no other yet"),
        _ => CheckLine::passed("network", format!("{reached} of {there} other sites are reached")),
    }
}

fn unreachable(sites: &[NetworkSite]) -> impl Iterator<Item = CheckLine> {
    sites.iter().filter(|site| !site.reachable).map(|site| {
        let what = format!("site/{}", site.name);
        let last: Vec<_> = site.links.iter().map(|link| link.peer.name.as_str()).collect();
        let last = if last.is_empty() { "nobody".into() } else { last.join(", ") };
        let text = format!("there is no way to it; it was last linked to {last}");
        CheckLine::warning(what, text).hint("does it run? see 'vanctl link status' there")
    })
}

fn versions(sites: &[NetworkSite]) -> CheckLine {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for site in sites.iter().filter(|site| site.reachable) {
        versions.entry(&site.version).or_default().push(&site.name);
    }
    match versions.len() {
        0 | 1 => {
            let version = versions.keys().next().copied().unwrap_or_default();
            CheckLine::passed("version", format!("all sites run {version}"))
        }
        _ => {
            let each: Vec<_> = versions
                .iter()
                .map(|(version, sites)| format!("{version} ({})", sites.join(", ")))
                .collect();
            CheckLine::warning("version", format!("sites run {}", each.join("; ")))
                .hint("update the older ones")
        }
    }
}

fn same_names(sites: &[NetworkSite]) -> impl Iterator<Item = CheckLine> {
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for site in sites {
        names.entry(&site.name).or_default().push(site.id.short());
    }
    names.into_iter().filter(|(_, ids)| ids.len() > 1).map(|(name, ids)| {
        let text = format!("{} sites have this name: {}", ids.len(), ids.join(", "));
        CheckLine::warning(format!("name/{name}"), text).hint("rename all but one: site.name")
    })
}

/// Whether the neighbours have this site's newest record.
fn told(told: usize, neighbours: usize) -> CheckLine {
    let what = "routes/told";
    if told >= neighbours {
        return CheckLine::passed(what, format!("{told} neighbours know what this site says"));
    }
    let text = format!("{told} of {neighbours} neighbours know what this site says now");
    CheckLine::warning(what, text).hint("it is sent again; if it stays so, see 'vanctl events'")
}

impl Site {
    /// What is said of routes, and of versions.
    pub(super) fn check_network(&self) -> (Vec<CheckLine>, Vec<CheckLine>) {
        let sites = network_view::sites(&self.map.routes());
        let mut routes = judge(&sites);
        routes.push(told(self.network.told(), self.links.all().len()));
        let state = "versions/state";
        let text = format!("this start is number {}", self.epoch);
        (routes, vec![versions(&sites), CheckLine::passed(state, text)])
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Passed, Warning};
    use van_model::{Mode, SiteId};

    use super::*;

    fn site(n: u8, name: &str, version: &str, cost: Option<u32>) -> NetworkSite {
        NetworkSite {
            name: name.into(),
            id: SiteId::from_bytes([n; 20]),
            mode: Mode::Interior,
            version: version.into(),
            this_site: cost == Some(0),
            reachable: cost.is_some(),
            cost,
            hops: None,
            via: Vec::new(),
            links: Vec::new(),
            services: Vec::new(),
            labels: BTreeMap::new(),
            replicas: 1,
        }
    }

    #[test]
    fn a_healthy_network_passes() {
        let sites = [site(1, "a", "1.0", Some(0)), site(2, "b", "1.0", Some(3))];
        let mut lines = judge(&sites);
        lines.push(versions(&sites));
        assert!(lines.iter().all(|line| line.outcome == Passed), "{lines:?}");
        assert_eq!(lines[0].detail, "1 of 1 other sites are reached");
        assert_eq!(lines[1].detail, "all sites run 1.0");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let sites =
            [site(1, "a", "1.0", Some(0)), site(2, "b", "1.1", Some(3)), site(3, "b", "9.9", None)];
        let mut lines = judge(&sites);
        lines.push(versions(&sites));
        let told = |what: &str| {
            let found = lines.iter().find(|line| line.what == what);
            let line = found.unwrap_or_else(|| panic!("{what} in {lines:?}"));
            assert_eq!(line.outcome, Warning, "{line:?}");
            line.detail.clone()
        };
        assert_eq!(told("version"), "sites run 1.0 (a); 1.1 (b)");
        assert_eq!(told("site/b"), "there is no way to it; it was last linked to nobody");
        assert!(told("name/b").starts_with("2 sites have this name: "));
    }
}
