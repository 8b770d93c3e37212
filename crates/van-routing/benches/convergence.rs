//! How routing grows with the network: random graphs of degree 4, 10 addresses a site, 20 ms a hop.
//!
//! `cargo bench -p van-routing --bench convergence` prints a table; numbers behind `--` choose other
//! sizes. Processor time is that of one thread which runs all routers, real signature checks and the
//! simulation itself included, the least of several changes. Progress goes to standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::BTreeSet;
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use van_model::SiteId;
use van_pki::{CertificateDer, Voucher};
use van_routing::{Neighbour, Node, OfferRecord, RealSignatures, Routes, Signatures};
use van_testkit::{RememberedSignatures, VirtualNetwork};

const SIZES: [usize; 5] = [50, 100, 200, 500, 1000];
const ADDRESSES: usize = 10;
const DEGREE: usize = 4;
/// Changes of each kind, and beyond [`LARGE`] sites, where each takes minutes, how many.
const CHANGES: usize = 5;
const FEW_CHANGES: usize = 2;
const LARGE: usize = 200;

/// Remembers checks while a network grows, and makes each one while it is measured.
#[derive(Default)]
struct Switch {
    remembered: RememberedSignatures,
    real: AtomicBool,
}

impl Switch {
    fn chosen(&self) -> &dyn Signatures {
        if self.real.load(Ordering::Relaxed) { &RealSignatures } else { &self.remembered }
    }
}

impl Signatures for Switch {
    fn site_id(&self, certificate: &CertificateDer<'static>) -> Option<SiteId> {
        self.chosen().site_id(certificate)
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'static>,
        context: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.chosen().verify(certificate, context, message, signature)
    }
}

fn main() {
    let wanted: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if wanted.is_empty() { SIZES.to_vec() } else { wanted };
    println!(
        "| sites | addresses | from nothing | after a cut | after a cost | state of a site | process, a site | processor, cost | per 100 sites | processor, cut | processor, offer |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for sites in sizes {
        measure(sites);
    }
}

fn measure(sites: usize) {
    let begun = Instant::now();
    let before = process_memory();
    let signatures = Arc::new(Switch::default());
    let mut network = VirtualNetwork::new(1, sites);
    network.check_signatures_by(signatures.clone());
    let (wires, first) = build(&mut network, sites);
    let from_nothing = network.settle(Duration::from_secs(120));
    progress(sites, "grown", begun);
    // Its own rate limits are quiet again.
    network.run(Duration::from_secs(20));
    let routes = network.routes(0);
    let reached = routes.routers.values().filter(|node| node.path.is_some()).count();
    assert_eq!((reached, routes.services.size()), (sites, sites * ADDRESSES), "converged");
    let state = state_bytes(&routes);
    let memory = process_memory().saturating_sub(before) / sites;
    drop(routes);

    signatures.real.store(true, Ordering::Relaxed);
    let mut least = [Duration::MAX; 3];
    let mut longest = [Duration::ZERO; 3];
    let count = if sites > LARGE { FEW_CHANGES } else { CHANGES };
    for change in 0..count {
        let wire = wires[(change * 37 + first) % wires.len()];
        let number = u16::try_from(change).unwrap();
        let address = format!("new-{change}");
        let changes: [&dyn Fn(&mut VirtualNetwork); 3] = [
            &|network| network.cost(wire, [number + 2, 1]),
            &|network| network.cut(wire),
            &|network| network.offer(change, &address, 1),
        ];
        for (kind, change) in changes.into_iter().enumerate() {
            let begin = processor_time();
            change(&mut network);
            longest[kind] = longest[kind].max(network.settle(Duration::from_secs(120)));
            least[kind] = least[kind].min(processor_time() - begin);
            network.run(Duration::from_secs(20));
        }
        progress(sites, &format!("change {} of {count}", change + 1), begun);
    }
    println!(
        "| {sites} | {} | {from_nothing:.2?} | {:.2?} | {:.2?} | {:.2} MiB | {:.2} MiB | {:.0?} | {:.1?} | {:.0?} | {:.0?} |",
        sites * ADDRESSES,
        longest[1],
        longest[0],
        mebibytes(state),
        mebibytes(memory),
        least[0],
        least[0] * 100 / u32::try_from(sites).unwrap(),
        least[1],
        least[2],
    );
    eprintln!("{sites} sites: {} messages in all", network.delivered());
}

fn progress(sites: usize, what: &str, begun: Instant) {
    eprintln!("{sites} sites: {what} after {:.0?}", begun.elapsed());
}

fn mebibytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / f64::from(1 << 20)
}

/// The memory of this process: all routers, with the simulation and what the allocator keeps.
fn process_memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// What this process's first thread has used of the processor, whatever else the machine does.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// A ring with chords: each site has about four links.
fn build(network: &mut VirtualNetwork, sites: usize) -> (Vec<usize>, usize) {
    for site in 0..sites {
        network.site(&format!("site-{site}"));
        network.about(site, |about| {
            about.offers = (0..ADDRESSES)
                .map(|n| OfferRecord {
                    address: format!("service-{n}.site-{site}").parse().unwrap(),
                    protocol: van_model::Protocol::Tcp,
                    service_port: None,
                    target_port: Some(8080),
                    targets: 3,
                    groups: Vec::new(),
                })
                .collect();
        });
    }
    let mut pairs: BTreeSet<(usize, usize)> = (1..sites).map(|site| (site - 1, site)).collect();
    pairs.insert((0, sites - 1));
    while pairs.len() < sites * DEGREE / 2 {
        let (a, b) = (network.below(sites), network.below(sites));
        if a != b {
            pairs.insert((a.min(b), a.max(b)));
        }
    }
    let wires = pairs.into_iter().map(|(a, b)| network.link(a, b, 1)).collect();
    (wires, network.below(sites))
}

/// What a site holds: each record as sent and as read, the snapshot, and the index of services.
fn state_bytes(routes: &Routes) -> usize {
    // What a map or an allocation costs beside its content, generously.
    const AROUND: usize = 32;
    let nodes = routes.routers.values().map(|Node { record: signed, path }| {
        let record = &signed.record;
        let offers = record.offers.iter();
        let vouchers = signed.vouchers.iter();
        2 * (size_of::<Node>() + AROUND)
            + 160
            + signed.as_bytes().len()
            + signed.authority.len()
            + record.name.len()
            + record.software.len()
            + record.neighbours.len() * size_of::<Neighbour>()
            + offers
                .map(|o| size_of::<OfferRecord>() + o.address.as_str().len() + AROUND)
                .sum::<usize>()
            + vouchers.map(|v| size_of::<Voucher>() + v.signature.len() + AROUND).sum::<usize>()
            + path.as_ref().map_or(0, |p| p.next.len() * 24 + AROUND)
    });
    let services = routes.services.iter().map(|(address, service)| {
        // Of the index and of the snapshot that shares most of it.
        2 * (address.as_str().len() + size_of::<usize>() * 4 + AROUND)
            + service.offers.len() * (size_of::<van_routing::RouterOffer>() + 3 * AROUND)
    });
    nodes.sum::<usize>() + services.sum::<usize>()
}
