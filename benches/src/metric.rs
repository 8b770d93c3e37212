//! The figures of a run, their units and their direction.

use serde::{Deserialize, Serialize};

/// A figure that a workload gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// One stream from client to back-end.
    Stream,
    /// One stream from back-end to client.
    Reverse,
    /// Eight streams from client to back-end.
    Streams8,
    /// Processor time of both processes for each gigabyte.
    CpuPerGb,
    /// Processor time of the ingress site for each gigabyte, where a site may lie between.
    CpuIngress,
    /// Processor time of the site between, for each gigabyte.
    CpuTransit,
    /// Processor time of the egress site for each gigabyte, where a site may lie between.
    CpuEgress,
    /// Peak memory of both processes under eight streams.
    PeakMemory,
    /// Requests a second over 64 connections.
    HttpRate,
    /// Their slowest hundredth.
    HttpP99,
    /// Their slowest thousandth.
    HttpP999,
    /// Requests a second over one connection.
    HttpOneRate,
    /// New flows a second.
    FlowRate,
    /// The median time of a whole new flow.
    FlowP50,
    /// The slowest hundredth of them.
    FlowP99,
    /// Memory of the larger of both idle processes.
    IdleMemory,
    /// Memory of an idle flow in the ingress process.
    FlowMemoryA,
    /// Memory of an idle flow in the egress process.
    FlowMemoryB,
    /// Memory after the flows closed, over idle, of the worse process.
    Released,
    /// What a stalled reader adds to both processes.
    StallMemory,
    /// A stream beside a stalled reader, over the same alone.
    BesideStall,
    /// From the egress's restart to the next good echo.
    Recovery,
    /// From the egress's death to the end of an open flow at its client.
    FlowEnd,
    /// Median time of a small request alone.
    SmallP50,
    /// Median time of a small request beside eight streams.
    BesideP50,
    /// Its slowest hundredth.
    BesideP99,
    /// Bulk flows that stopped, when clients cut them off at random.
    Stalled,
    /// Bulk flows that broke or brought wrong bytes.
    Broken,
    /// Descriptors that both processes hold afterwards above those at the start.
    Leaked,
    /// Eight streams over a link of 20 ms round trip and 0.1 % loss.
    WanLossy8,
    /// One stream over a link of 100 ms round trip without loss.
    WanLong1,
    /// Requests a second over 64 connections, each request for itself.
    RequestRate,
    /// Their slowest hundredth.
    RequestP99,
    /// Their slowest thousandth.
    RequestP999,
    /// Requests a second over one connection, each request for itself.
    RequestOneRate,
    /// Processor time of both processes for a thousand of them.
    RequestCpu,
    /// Memory of an idle client that asks by request, in the ingress process.
    RequestMemory,
    /// Requests a second over 4 connections of HTTP/2 with 16 streams each.
    Http2Rate,
    /// Processor time of both processes for a thousand of them.
    Http2Cpu,
    /// Median time of a gRPC-like call, one after the other.
    UnaryP50,
    /// The same over the median time through a stream of bytes.
    UnaryOverTcp,
    /// Datagrams lost of 50,000 a second, 512 bytes each.
    DatagramLoss,
    /// Median time of a datagram there and back.
    DatagramP50,
    /// The same over the median time of a small request.
    DatagramOverTcp,
}

impl Metric {
    /// Every metric in the tables' order.
    pub const ALL: [Self; 44] = [
        Self::Stream,
        Self::Reverse,
        Self::Streams8,
        Self::CpuPerGb,
        Self::CpuIngress,
        Self::CpuTransit,
        Self::CpuEgress,
        Self::PeakMemory,
        Self::HttpRate,
        Self::HttpP99,
        Self::HttpP999,
        Self::HttpOneRate,
        Self::FlowRate,
        Self::FlowP50,
        Self::FlowP99,
        Self::SmallP50,
        Self::BesideP50,
        Self::BesideP99,
        Self::IdleMemory,
        Self::FlowMemoryA,
        Self::FlowMemoryB,
        Self::Released,
        Self::StallMemory,
        Self::BesideStall,
        Self::Recovery,
        Self::FlowEnd,
        Self::Stalled,
        Self::Broken,
        Self::Leaked,
        Self::WanLossy8,
        Self::WanLong1,
        Self::RequestRate,
        Self::RequestP99,
        Self::RequestP999,
        Self::RequestOneRate,
        Self::RequestCpu,
        Self::RequestMemory,
        Self::Http2Rate,
        Self::Http2Cpu,
        Self::UnaryP50,
        Self::UnaryOverTcp,
        Self::DatagramLoss,
        Self::DatagramP50,
        Self::DatagramOverTcp,
    ];

    /// Gives heading, unit and the number of decimals.
    pub fn label(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::Stream => ("one stream", "Gbit/s", 2),
            Self::Reverse => ("one stream, reverse", "Gbit/s", 2),
            Self::Streams8 => ("eight streams", "Gbit/s", 2),
            Self::CpuPerGb => ("processor time, both", "s/GB", 2),
            Self::CpuIngress => ("processor time, ingress site", "s/GB", 2),
            Self::CpuTransit => ("processor time, transit site", "s/GB", 2),
            Self::CpuEgress => ("processor time, egress site", "s/GB", 2),
            Self::PeakMemory => ("peak memory, both, eight streams", "MiB", 1),
            Self::HttpRate => ("HTTP, 64 connections", "req/s", 0),
            Self::HttpP99 => ("HTTP, 64 connections, p99", "ms", 2),
            Self::HttpP999 => ("HTTP, 64 connections, p99.9", "ms", 2),
            Self::HttpOneRate => ("HTTP, one connection", "req/s", 0),
            Self::FlowRate => ("new flows", "flows/s", 0),
            Self::FlowP50 => ("new flow, p50", "ms", 2),
            Self::FlowP99 => ("new flow, p99", "ms", 2),
            Self::IdleMemory => ("idle memory, larger process", "MiB", 1),
            Self::FlowMemoryA => ("idle flow, ingress", "bytes", 0),
            Self::FlowMemoryB => ("idle flow, egress", "bytes", 0),
            Self::Released => ("memory after idle flows, worse process", "x idle", 2),
            Self::StallMemory => ("stalled reader, memory of both", "MiB", 1),
            Self::BesideStall => ("stream beside a stalled reader", "x alone", 2),
            Self::Recovery => ("egress restarted, next echo", "s", 3),
            Self::FlowEnd => ("egress killed, open flow ends", "s", 3),
            Self::SmallP50 => ("small request, p50", "ms", 3),
            Self::BesideP50 => ("small request beside bulk, p50", "ms", 2),
            Self::BesideP99 => ("small request beside bulk, p99", "ms", 2),
            Self::Stalled => ("cut-off bulk flows, stalled", "flows", 0),
            Self::Broken => ("cut-off bulk flows, broken", "flows", 0),
            Self::Leaked => ("cut-off bulk flows, descriptors leaked", "", 0),
            Self::WanLossy8 => ("WAN 20 ms, 0.1 % loss, eight streams", "Mbit/s", 0),
            Self::WanLong1 => ("WAN 100 ms, no loss, one stream", "Mbit/s", 0),
            Self::RequestRate => ("by request, 64 connections", "req/s", 0),
            Self::RequestP99 => ("by request, 64 connections, p99", "ms", 2),
            Self::RequestP999 => ("by request, 64 connections, p99.9", "ms", 2),
            Self::RequestOneRate => ("by request, one connection", "req/s", 0),
            Self::RequestCpu => ("by request, processor time, both", "ms/1000", 1),
            Self::RequestMemory => ("idle HTTP client, ingress", "bytes", 0),
            Self::Http2Rate => ("HTTP/2, 64 streams on 4 connections", "req/s", 0),
            Self::Http2Cpu => ("HTTP/2, processor time, both", "ms/1000", 1),
            Self::UnaryP50 => ("unary call, p50", "ms", 3),
            Self::UnaryOverTcp => ("unary call, p50", "x as tcp", 2),
            Self::DatagramLoss => ("50,000 datagrams/s, lost", "%", 3),
            Self::DatagramP50 => ("datagram, p50", "ms", 3),
            Self::DatagramOverTcp => ("datagram, p50", "x small request", 2),
        }
    }

    /// Tells whether more is better.
    pub fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::Stream
                | Self::Reverse
                | Self::Streams8
                | Self::HttpRate
                | Self::HttpOneRate
                | Self::FlowRate
                | Self::BesideStall
                | Self::WanLossy8
                | Self::WanLong1
                | Self::RequestRate
                | Self::RequestOneRate
                | Self::Http2Rate
        )
    }
}
