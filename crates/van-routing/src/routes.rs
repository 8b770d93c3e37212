//! What the data plane reads: where everything is, at one moment.

use std::fmt::Write as _;
use std::sync::Arc;

use van_model::{Address, Mode, SiteId};
use van_pki::CertificateDer;

use crate::router_id::RouterId;
use crate::services::ServiceMap;
use crate::signed::SignedRecord;

mod routers;

pub use routers::Routers;

/// The network as one router sees it; never changed once it is published.
#[derive(Debug, Clone)]
pub struct Routes {
    /// Rises with each change.
    pub version: u64,
    /// The router that sees it so.
    pub me: RouterId,
    /// Routers of members, this one among them, whether they can be reached or not.
    pub routers: Routers,
    /// What is offered by routers that can be reached, and by this one.
    pub services: ServiceMap,
}

/// A router of the network.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it says of itself.
    pub record: Arc<SignedRecord>,
    /// How it is reached, where it can be.
    pub path: Option<Arc<Path>>,
}

/// How a router is reached at the least cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The sum of the links' costs; 0 to this router itself.
    pub cost: u32,
    /// Links on the shortest of the least-cost ways; 255 stands for as many or more.
    pub hops: u8,
    /// The neighbours that stand first on the least-cost ways, sorted.
    pub next: Vec<RouterId>,
    /// The router that stands last before it on the shortest of these ways.
    pub previous: RouterId,
}

impl Routes {
    pub(crate) fn empty(me: RouterId) -> Self {
        Self { version: 0, me, routers: Routers::default(), services: ServiceMap::default() }
    }

    /// The whole way to a router, this one and it included; `None` where there is none.
    pub fn path(&self, to: RouterId) -> Option<Vec<RouterId>> {
        let mut way = vec![to];
        let mut at = to;
        while at != self.me {
            at = self.routers.get(&at)?.path.as_ref()?.previous;
            if way.len() > self.routers.len() {
                return None;
            }
            way.push(at);
        }
        way.reverse();
        Some(way)
    }

    /// The authority of a member, against which its end-to-end sessions are verified.
    pub fn authority(&self, site: SiteId) -> Option<CertificateDer<'static>> {
        let mut of_site = self.site(site);
        of_site.next().map(|(_, node)| node.record.authority.clone())
    }

    /// The routers of one site.
    pub fn site(&self, site: SiteId) -> impl Iterator<Item = (&RouterId, &Node)> {
        let router = |replica| RouterId { site, replica };
        self.routers.range(router(0)..=router(u16::MAX))
    }

    /// Addresses that are offered in ways that don't go together, each with a sentence on it.
    pub fn conflicts(&self) -> impl Iterator<Item = (&Address, &str)> {
        self.services.iter().filter_map(|(a, offers)| Some((a, offers.conflict.as_deref()?)))
    }

    /// The network as a Graphviz graph.
    pub fn dot(&self) -> String {
        let mut text = String::from("graph van {\n");
        for (router, node) in &self.routers {
            let record = &node.record.record;
            let shape = if record.mode == Mode::Edge { "box" } else { "ellipse" };
            let style = if node.path.is_some() { "solid" } else { "dashed" };
            let label = format!("{}\n{router}", record.name);
            writeln!(text, "  \"{router}\" [label={label:?}, shape={shape}, style={style}];")
                .expect("writing to a string can't fail");
        }
        for (from, node) in &self.routers {
            for link in &node.record.record.neighbours {
                let to = RouterId { site: link.site, replica: link.replica };
                let Some(back) = self.claim(to, *from).filter(|_| *from < to) else { continue };
                let cost = if back == link.cost {
                    back.to_string()
                } else {
                    format!("{} / {back}", link.cost)
                };
                writeln!(text, "  \"{from}\" -- \"{to}\" [label=\"{cost}\"];")
                    .expect("writing to a string can't fail");
            }
        }
        text.push_str("}\n");
        text
    }

    /// The cost of a link as its end `from` says it.
    fn claim(&self, from: RouterId, to: RouterId) -> Option<u16> {
        let links = &self.routers.get(&from)?.record.record.neighbours;
        links.iter().find(|l| l.site == to.site && l.replica == to.replica).map(|l| l.cost)
    }
}
