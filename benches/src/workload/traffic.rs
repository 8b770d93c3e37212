//! Workloads whose figure is speed.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Figure};
use crate::iperf::Transfer;
use crate::load::samples::Samples;
use crate::load::{self, flows, small};
use crate::metric::Metric;
use crate::running::Running;
use crate::{stop, wrk};

/// How long a transfer runs before something is measured beside it.
const WARM: Duration = Duration::from_secs(1);

/// What a load may take beyond its own length.
const GRACE: Duration = Duration::from_secs(20);

impl Bench {
    pub(super) fn transfer(
        &self,
        running: &Running,
        streams: u32,
        reverse: bool,
    ) -> Result<crate::iperf::Moved> {
        let mut transfer = Transfer::new(running.entry("iperf")?, streams, self.pace.seconds);
        transfer.reverse = reverse;
        transfer.run(&self.programs, running.client_host(), running.dir())
    }

    /// a: one stream, each direction.
    pub(super) fn stream(&self, running: &Running) -> Result<Vec<Figure>> {
        let forward = self.transfer(running, 1, false)?;
        let reverse = self.transfer(running, 1, true)?;
        Ok(vec![
            (Metric::Stream, forward.bits_per_second / 1e9),
            (Metric::Reverse, reverse.bits_per_second / 1e9),
        ])
    }

    /// b: eight streams, with the processor time of both processes.
    pub(super) fn streams8(&self, running: &Running) -> Result<Vec<Figure>> {
        let before = running.ingress_usage().cpu + running.egress_usage().cpu;
        let moved = self.transfer(running, 8, false)?;
        let (ingress, egress) = (running.ingress_usage(), running.egress_usage());
        let mut figures = vec![(Metric::Streams8, moved.bits_per_second / 1e9)];
        if ingress.resident > 0 {
            let cpu = ingress.cpu + egress.cpu - before;
            figures.push((Metric::CpuPerGb, cpu / (moved.bytes / 1e9)));
            figures.push((Metric::PeakMemory, (ingress.peak + egress.peak) as f64 / MIB));
        }
        Ok(figures)
    }

    /// c: HTTP with keep-alive over 64 connections, then over one.
    pub(super) fn http(&self, running: &Running) -> Result<Vec<Figure>> {
        let (entry, seconds) = (running.entry("http")?, self.pace.seconds);
        let many = wrk::run(&self.programs, running.dir(), entry, 64, seconds)?;
        let one = wrk::run(&self.programs, running.dir(), entry, 1, seconds)?;
        Ok(vec![
            (Metric::HttpRate, many.rate),
            (Metric::HttpP99, many.p99_ms),
            (Metric::HttpP999, many.p999_ms),
            (Metric::HttpOneRate, one.rate),
        ])
    }

    /// d: new flows.
    pub(super) fn flows(&self, running: &Running) -> Result<Vec<Figure>> {
        let (entry, length) = (running.entry("echo")?, self.pace.length());
        let mut found = load::drive(&self.runtime, length + GRACE, flows::run(entry, length))?;
        Ok(vec![
            (Metric::FlowRate, found.rate),
            (Metric::FlowP50, found.times.quantile_ms(0.5)),
            (Metric::FlowP99, found.times.quantile_ms(0.99)),
        ])
    }

    /// Small requests with nothing beside them.
    pub(super) fn small_alone(&self, running: &Running) -> Result<Samples> {
        let (echo, length) = (running.entry("echo")?, self.pace.length());
        load::drive(&self.runtime, length + GRACE, small::run(echo, length / 2))
    }

    /// i: small requests alone, then beside eight streams.
    pub(super) fn small(&self, running: &Running) -> Result<Vec<Figure>> {
        let (echo, length) = (running.entry("echo")?, self.pace.length());
        let mut alone = self.small_alone(running)?;
        let bulk = Transfer::new(running.entry("iperf")?, 8, self.pace.seconds + 2);
        let bulk = bulk.start(&self.programs, running.client_host(), running.dir())?;
        stop::pause(WARM)?;
        let mut beside = load::drive(&self.runtime, length + GRACE, small::run(echo, length))?;
        bulk.finish()?;
        Ok(vec![
            (Metric::SmallP50, alone.quantile_ms(0.5)),
            (Metric::BesideP50, beside.quantile_ms(0.5)),
            (Metric::BesideP99, beside.quantile_ms(0.99)),
        ])
    }
}

/// Bytes in a mebibyte.
pub(super) const MIB: f64 = 1024.0 * 1024.0;
