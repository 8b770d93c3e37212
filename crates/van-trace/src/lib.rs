//! Spans of requests: one as a SERVER and one as a CLIENT for each that is sampled, exported to a
//! collector by OTLP over HTTP.
//!
//! A [`Tracer`] decides whether a request is sampled and gives a [`Span`] to whoever serves it; when that
//! is dropped, what is known goes into a bounded queue. An [`Exporter`] sends what is there in batches.
//!
//! Invariants: whoever serves a request never waits for the queue or a collector; a span that is lost
//! is counted; neither a query nor a header but those of the context gets into a span.

mod context;
mod endpoint;
mod exporter;
mod record;
mod span;
mod tracer;
pub mod wire;

pub use context::Parent;
pub use endpoint::Endpoint;
pub use exporter::{Exporter, Source};
pub use span::Span;
pub use tracer::{Counts, Named, Sampling, Tracer};
