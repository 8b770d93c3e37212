//! Spans of requests on their way to a collector.

use std::sync::Arc;

use van_model::TracingSpec;
use van_trace::{Endpoint, Exporter, Sampling, Source, Tracer};

use crate::site::Site;

/// What exports spans where that is wanted, and what begins them.
pub(crate) fn exporter(spec: Option<&TracingSpec>) -> (Option<Exporter>, Option<Arc<Tracer>>) {
    let Some(spec) = spec else { return (None, None) };
    let Some(endpoint) = Endpoint::new(&spec.otlp) else {
        // The configuration's check lets no such place pass.
        tracing::warn!(otlp = spec.otlp, "tracing.otlp is no place of a collector: no spans");
        return (None, None);
    };
    let exporter = Exporter::new(endpoint, Sampling::new(spec.sample));
    let tracer = exporter.tracer().clone();
    (Some(exporter), Some(tracer))
}

impl Site {
    /// Exports spans until the site stops.
    pub(crate) fn export(&self, exporter: Exporter) {
        let source = Source {
            name: self.name(),
            id: self.own_id().to_string(),
            version: self.environment.version.clone(),
        };
        let (site, stopped) = (self.this.clone(), self.tasks.clone());
        let named = Box::new(move |id| match site.upgrade() {
            Some(site) => site.names(&site.map.routes()).label(id),
            None => id.short(),
        });
        let run = exporter.run(source, named, async move { stopped.cancelled().await });
        self.tasks.spawn_to_end("spans", run);
    }
}
