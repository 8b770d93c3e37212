//! `[[connector]]`: a local workload offered to the network.

use figment::value::{Dict, Value};
use van_model::{Check, CheckTiming, Target, Workload, parse_duration};

use crate::mistake::Problem;
use crate::schema::{Key, Kind, Section, Wrong};
use crate::text::{self, parsed, shorten};
use crate::tls;

pub(crate) const SECTION: Section = Section {
    name: "connector",
    list: true,
    keys: &[
        Key::new("name", Kind::Text(text::name, text::NAME)),
        Key::new("address", Kind::Text(text::address, text::ADDRESS)),
        Key::new("protocol", Kind::Text(text::protocol, text::PROTOCOL)),
        Key::new("target", Kind::Text(target, TARGET)),
        Key::new("container", Kind::Text(workload, WORKLOAD)),
        Key::new("pod", Kind::Text(workload, WORKLOAD)),
        Key::new("port", Kind::Number(1, 65535)),
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
        Key::new("tls", tls::CONNECTOR),
    ],
    required: &["name"],
    whole,
};

const TARGET: &str = "host:port, unix:/path, container/NAME:port, pod/NAME:port";

/// The keys that say where the workload is.
const PLACES: [&str; 3] = ["target", "container", "pod"];

/// A workload is at one place, and a container's or pod's has a port beside it.
fn whole(has: &dyn Fn(&str) -> bool) -> Option<Wrong> {
    let mut places = PLACES.into_iter().filter(|place| has(place));
    match (places.next(), places.next(), has("port")) {
        (None, ..) => {
            let hint = "[[connector]] needs name, and one of target, container, pod";
            Some(("target", Problem::new("missing key \"target\"", hint)))
        }
        (Some(first), Some(second), _) => {
            let what = format!("{first} and {second} say two places");
            Some((second, Problem::new(what, "keep one of target, container, pod")))
        }
        (Some("target"), None, true) => {
            let what = "the port stands in the target already";
            Some(("port", Problem::new(what, "write target = \"HOST:PORT\"")))
        }
        (Some("target"), None, false) | (Some(_), None, true) => None,
        (Some(place), None, false) => {
            let hint = format!("write beside it port = PORT, the port inside the {place}");
            Some(("port", Problem::new("missing key \"port\"", hint)))
        }
    }
}

const WORKLOAD: &str = "the name of a container or pod";

fn workload(text: &str, _: Option<&str>) -> Result<String, Problem> {
    if Workload::is_name(text) {
        return Ok(text.into());
    }
    let what = format!("{:?} is no name of a container or pod", shorten(text));
    let hint = "accepted: letters, digits, '_', '.' and '-', at most 128, the first no sign";
    Err(Problem::new(what, hint))
}

/// Makes the target that a container or pod and its port say.
pub(crate) fn gather_target(entry: &mut Dict) {
    let port = entry.remove("port").and_then(|port| port.to_u128());
    for kind in ["container", "pod"] {
        if let (Some(Value::String(_, name)), Some(port)) = (entry.remove(kind), port) {
            entry.insert("target".into(), format!("{kind}/{name}:{port}").into());
        }
    }
}

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
