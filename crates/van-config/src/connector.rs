//! `[[connector]]`: a local workload offered to the network.

use figment::value::{Dict, Value};
use van_model::{Check, CheckTiming, Target, parse_duration};

use crate::mistake::Problem;
use crate::schema::{Key, Kind, Section};
use crate::text::{self, parsed};

pub(crate) const SECTION: Section = Section {
    name: "connector",
    list: true,
    keys: &[
        Key::new("name", Kind::Text(text::name, text::NAME)),
        Key::new("address", Kind::Text(text::address, text::ADDRESS)),
        Key::new("protocol", Kind::Text(text::protocol, text::PROTOCOL)),
        Key::new("target", Kind::Text(target, "host:port, unix:/path")),
        Key::new("service_port", Kind::Number(1, 65535)),
        Key::new("check", Kind::Text(check, Check::ACCEPTED)),
        Key::new("check_idle", Kind::Text(time, TIME)),
        Key::new("check_interval", Kind::Text(time, TIME)),
        Key::new("check_timeout", Kind::Text(time, TIME)),
        Key::new("check_failures", Kind::Number(1, 100)),
        Key::new("check_successes", Kind::Number(1, 100)),
        Key::new("proxy_protocol", Kind::Flag),
        Key::new("priority", Kind::Number(0, 65535)),
        Key::new("weight", Kind::Number(1, 65535)),
    ],
    required: &["name", "target"],
};

fn target(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Target>(text)
}

const TIME: &str = "a duration from 100ms to 1h, as \"2s\"";

/// Gives a duration in milliseconds.
fn time(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let (least, most) = CheckTiming::TIMES;
    let ms = parse_duration(text).ok().and_then(|time| u64::try_from(time.as_millis()).ok());
    let fit = ms.filter(|ms| (least..=most).contains(ms)).map(|ms| ms.to_string());
    fit.ok_or_else(|| Problem::new(format!("{text:?} can't be used"), format!("accepted: {TIME}")))
}

/// Puts the keys about checks where the model has them.
pub(crate) fn gather_timing(entry: &mut Dict) {
    let mut timing = Dict::new();
    for key in ["idle", "interval", "timeout"] {
        if let Some(Value::String(_, ms)) = entry.remove(&format!("check_{key}")) {
            timing.insert(format!("{key}_ms"), ms.parse::<u64>().unwrap_or_default().into());
        }
    }
    for key in ["failures", "successes"] {
        if let Some(count) = entry.remove(&format!("check_{key}")) {
            timing.insert(key.into(), count);
        }
    }
    entry.insert("timing".into(), timing.into());
}

fn check(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Check>(text)
}
