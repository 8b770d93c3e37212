//! The workloads: what is done through a peer, and which figures come out.

mod memory;
mod protocols;
mod traffic;
pub mod transit;
mod trouble;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::backend::{self, Backends};
use crate::certificate::Certificates;
use crate::host::Place;
use crate::layout::{Carried, Layout, Service};
use crate::load::datagrams::Sink;
use crate::metric::Metric;
use crate::peer::Peer;
use crate::program::Programs;
use crate::running::Running;

/// A figure with its metric.
pub type Figure = (Metric, f64);

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// a: one stream, each direction.
    Stream,
    /// b: eight streams, processor time.
    Streams8,
    /// c: HTTP with keep-alive.
    Http,
    /// d: new flows.
    Flows,
    /// e: idle flows.
    Idle,
    /// g: a stalled reader.
    Stall,
    /// h: the egress killed and restarted.
    Restart,
    /// i: small requests, alone and beside bulk.
    Small,
    /// k: server-first bulk, cut off.
    Cutoff,
    /// t: through a site between both ends, held against one link.
    Transit,
    /// w: over a link with delay and loss.
    Wan,
    /// p: HTTP by request.
    Requests,
    /// m: HTTP/2, many streams on a connection, and calls one by one.
    Multiplexed,
    /// u: datagrams.
    Datagrams,
}

impl Workload {
    /// Every workload, in the order of a round.
    pub const ALL: [Self; 14] = [
        Self::Stream,
        Self::Streams8,
        Self::Http,
        Self::Requests,
        Self::Multiplexed,
        Self::Datagrams,
        Self::Flows,
        Self::Small,
        Self::Idle,
        Self::Stall,
        Self::Restart,
        Self::Cutoff,
        Self::Transit,
        Self::Wan,
    ];

    /// Gives the letter by which options and records name it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Stream => "a",
            Self::Streams8 => "b",
            Self::Http => "c",
            Self::Flows => "d",
            Self::Idle => "e",
            Self::Stall => "g",
            Self::Restart => "h",
            Self::Small => "i",
            Self::Cutoff => "k",
            Self::Transit => "t",
            Self::Wan => "w",
            Self::Requests => "p",
            Self::Multiplexed => "m",
            Self::Datagrams => "u",
        }
    }

    /// Tells whether the workload is long or says little when repeated: then rivals do it in
    /// the first round alone.
    pub fn is_rare(self) -> bool {
        matches!(self, Self::Idle | Self::Stall | Self::Restart | Self::Cutoff)
    }

    /// Tells whether it means anything without a proxy.
    pub fn fits(self, peer: Peer) -> bool {
        match self {
            Self::Idle | Self::Restart => !peer.is_direct(),
            Self::Transit | Self::Wan => false,
            Self::Requests | Self::Multiplexed => {
                matches!(peer, Peer::Direct | Peer::HaproxyPlain | Peer::HaproxyMtls | Peer::Vand)
            }
            Self::Datagrams => matches!(peer, Peer::Direct | Peer::Nginx | Peer::Vand),
            _ => true,
        }
    }
}

impl std::str::FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|workload| workload.letter() == text).ok_or_else(|| {
            let letters: Vec<_> = Self::ALL.iter().map(|workload| workload.letter()).collect();
            format!("reading the workload failed: `{text}` is none of {}", letters.join(", "))
        })
    }
}

/// How long and how often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The length of a transfer or load, in seconds.
    pub seconds: u64,
    /// How many idle flows are opened.
    pub idle_flows: usize,
    /// How long after the idle flows closed memory is looked at again.
    pub release: Duration,
    /// How long a reader stalls before the transfer beside it.
    pub stall: Duration,
    /// How many bulk flows are cut off.
    pub cutoffs: usize,
}

impl Pace {
    /// The pace of a full run.
    pub const FULL: Self = Self {
        seconds: 4,
        idle_flows: 5000,
        release: Duration::from_secs(10),
        stall: Duration::from_secs(10),
        cutoffs: 2000,
    };

    /// The pace of a quick look.
    pub const QUICK: Self = Self {
        seconds: 2,
        idle_flows: 5000,
        release: Duration::from_secs(10),
        stall: Duration::from_secs(3),
        cutoffs: 400,
    };

    /// Gives the length of a load.
    pub fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// What every measurement of a run shares.
#[derive(Debug)]
pub struct Bench {
    /// The runtime of the load generator.
    pub runtime: Runtime,
    /// The programs.
    pub programs: Programs,
    /// The certificates.
    pub certificates: Certificates,
    /// The back-ends.
    pub backends: Backends,
    /// The run's folder.
    pub dir: PathBuf,
    /// The run's pace.
    pub pace: Pace,
}

impl Bench {
    /// Does `workload` through a freshly started `peer`.
    ///
    /// # Errors
    /// Where the peer doesn't start, fails, or hangs; or the run is interrupted.
    pub fn measure(&self, workload: Workload, peer: Peer, round: u32) -> Result<Vec<Figure>> {
        let place = Place::loopback();
        let dir = self.dir.join(format!("{}-{}-{round}", peer.name(), workload.letter()));
        let mut services = vec![Service::stream("echo", self.backends.echo)];
        let (mut server, mut sink) = (None, None);
        match workload {
            Workload::Stream
            | Workload::Streams8
            | Workload::Stall
            | Workload::Small
            | Workload::Transit => {
                let (process, address) = backend::iperf(&self.programs, &place, &dir)?;
                services.push(Service::stream("iperf", address));
                server = Some(process);
            }
            Workload::Http => {
                let target = self.backends.http.context("nginx is not installed")?;
                services.push(Service::stream("http", target));
            }
            Workload::Requests => {
                let target = self.backends.http.context("nginx is not installed")?;
                services.push(Service { name: "web", target, carried: Carried::Requests });
            }
            Workload::Multiplexed => {
                let target = self.backends.http2.context("nginx is not installed")?;
                let carried = Carried::Multiplexed;
                services.push(Service { name: "web", target, carried });
                let target = self.backends.calls;
                services.push(Service { name: "calls", target, carried });
                services.push(Service::stream("calls-tcp", target));
            }
            Workload::Datagrams => {
                let carried = Carried::Datagrams;
                let target = self.backends.datagrams;
                services.push(Service { name: "datagrams", target, carried });
                sink = Some(Sink::open(&place.egress)?);
                let target = sink.as_ref().context("just opened")?.address();
                services.push(Service { name: "sink", target, carried });
            }
            Workload::Cutoff => services.push(Service::stream("bulk", self.backends.bulk)),
            Workload::Flows | Workload::Idle | Workload::Restart | Workload::Wan => {}
        }
        if workload == Workload::Stall {
            services.push(Service::stream("source", self.backends.source));
        }
        let layout = Layout::new(dir, &place, &self.certificates, &self.programs, &services)?;
        let mut running = Running::start(peer, layout, Some("echo"))?;
        let figures = match workload {
            Workload::Stream => self.stream(&running),
            Workload::Streams8 => self.streams8(&running),
            Workload::Http => self.http(&running),
            Workload::Flows => self.flows(&running),
            Workload::Small => self.small(&running),
            Workload::Idle => self.idle(&running),
            Workload::Stall => self.stall(&running),
            Workload::Restart => self.restart(&mut running),
            Workload::Cutoff => self.cutoff(&running),
            Workload::Transit => self.transit(&running),
            Workload::Requests => self.requests(&running),
            Workload::Multiplexed => self.multiplexed(&running),
            Workload::Datagrams => self.datagrams(&running, sink.as_ref()),
            Workload::Wan => Ok(Vec::new()),
        };
        let figures = running.explain(figures);
        drop(running);
        drop(server);
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_back_and_unique() {
        for workload in Workload::ALL {
            assert_eq!(workload.letter().parse(), Ok(workload));
        }
        assert!("z".parse::<Workload>().is_err());
    }
}
