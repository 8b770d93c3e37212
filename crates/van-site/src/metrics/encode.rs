//! From the table of metrics to text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::metrics::Look;
use crate::metrics::families::{FAMILIES, Kind, Samples};

/// The word that every metric's name begins with.
pub(crate) const PREFIX: &str = "van";

struct Shown(Look);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({})", self.0.site.name)
    }
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in FAMILIES {
            let mut samples = Samples::new(family.labels);
            (family.read)(&self.0, &mut samples);
            let kind = match family.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut out = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in samples.bounded() {
                let pairs: Vec<(&str, String)> =
                    family.labels.iter().copied().zip(labels.iter().cloned()).collect();
                if pairs.is_empty() {
                    one(&mut out, family.kind, value)?;
                } else {
                    one(&mut out.encode_family(&pairs)?, family.kind, value)?;
                }
            }
        }
        Ok(())
    }
}

fn one(out: &mut MetricEncoder<'_>, kind: Kind, value: f64) -> fmt::Result {
    match kind {
        Kind::Gauge => out.encode_gauge(&value),
        Kind::Counter => out.encode_counter::<[(String, String); 0], _, f64>(&value, None),
    }
}

/// One look as text.
pub(crate) fn text(look: Look) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Shown(look)));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("writing to a string can't fail");
    out
}
