//! Workloads of services that a peer understands: requests, calls, datagrams.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bench, Figure};
use crate::load::datagrams::{self, Sink};
use crate::load::{self, call, patrons};
use crate::metric::Metric;
use crate::running::Running;
use crate::{h2load, stop, wrk};

/// What a load may take beyond its own length.
const GRACE: Duration = Duration::from_secs(20);

/// HTTP clients that are idle at once.
const PATRONS: usize = 2000;

/// Processor seconds of both sides so far.
fn cpu(running: &Running) -> f64 {
    running.ingress_usage().cpu + running.egress_usage().cpu
}

/// How long a process may settle before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(1);

impl Bench {
    /// p: HTTP by request over 64 connections, over one, and idle clients.
    pub(super) fn requests(&self, running: &Running) -> Result<Vec<Figure>> {
        let (entry, seconds) = (running.entry("web")?, self.pace.seconds);
        let first = load::drive(&self.runtime, GRACE, patrons::open(entry, 1))?;
        stop::pause(SETTLE)?;
        let before = running.ingress_usage().resident;
        let idle = load::drive(&self.runtime, GRACE * 3, patrons::open(entry, PATRONS))?;
        stop::pause(SETTLE)?;
        let held = running.ingress_usage().resident;
        self.runtime.block_on(async { drop((first, idle)) });
        let start = cpu(running);
        let many = wrk::run(&self.programs, running.dir(), entry, 64, seconds)?;
        let used = cpu(running) - start;
        let one = wrk::run(&self.programs, running.dir(), entry, 1, seconds)?;
        let mut figures = vec![
            (Metric::RequestRate, many.rate),
            (Metric::RequestP99, many.p99_ms),
            (Metric::RequestP999, many.p999_ms),
            (Metric::RequestOneRate, one.rate),
        ];
        if before > 0 {
            let each = held.saturating_sub(before) as f64 / PATRONS as f64;
            figures.push((Metric::RequestMemory, each));
            figures.push((Metric::RequestCpu, used / (many.rate * seconds as f64) * 1e6));
        }
        Ok(figures)
    }

    /// m: HTTP/2 with 16 streams on each of 4 connections; calls one after the other, also through
    /// a service that knows nothing of them.
    pub(super) fn multiplexed(&self, running: &Running) -> Result<Vec<Figure>> {
        let (entry, seconds) = (running.entry("web")?, self.pace.seconds);
        let start = cpu(running);
        let rate = h2load::run(&self.programs, running.dir(), entry, [4, 16], seconds)?;
        let used = cpu(running) - start;
        let length = self.pace.length();
        let call = |name: &str| -> Result<f64> {
            let load = call::run(running.entry(name)?, length / 2);
            Ok(load::drive(&self.runtime, length + GRACE, load)?.quantile_ms(0.5))
        };
        let (known, tcp) = (call("calls")?, call("calls-tcp")?);
        let mut figures = vec![
            (Metric::Http2Rate, rate),
            (Metric::UnaryP50, known),
            (Metric::UnaryOverTcp, known / tcp),
        ];
        if used > 0.0 {
            figures.push((Metric::Http2Cpu, used / (rate * seconds as f64) * 1e6));
        }
        Ok(figures)
    }

    /// u: datagrams lost of many, and one by one there and back.
    pub(super) fn datagrams(&self, running: &Running, sink: Option<&Sink>) -> Result<Vec<Figure>> {
        let sink = sink.context("there is no sink")?;
        // Without a proxy there is no other address than the sink's own.
        let loss = sink.loss(running.entry("sink")?, self.pace.length())?;
        let length = self.pace.length() / 2;
        let p50 = datagrams::exchange(running.entry("datagrams")?, length)?.quantile_ms(0.5);
        let small = self.small_alone(running)?.quantile_ms(0.5);
        Ok(vec![
            (Metric::DatagramLoss, loss),
            (Metric::DatagramP50, p50),
            (Metric::DatagramOverTcp, p50 / small),
        ])
    }
}
