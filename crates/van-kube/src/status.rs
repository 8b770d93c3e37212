//! What is written into objects' status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};
use van_crd::Condition;

use crate::object::Object;
use crate::plan::Verdict;

/// What runs of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Running {
    /// Whether it does what it is for.
    pub is_ready: bool,
    /// One word for programs.
    pub reason: String,
    /// A sentence; may be empty.
    pub message: String,
    /// Other fields of the status.
    pub fields: Map<String, Value>,
}

/// The status that an object is to have.
pub(crate) fn status(
    object: &Object,
    verdict: &Verdict,
    running: Option<&Running>,
    now: jiff::Timestamp,
) -> Value {
    let (ready, reason, message) = match (verdict, running) {
        (Verdict::Refused(reason, why) | Verdict::Waiting(reason, why), _) => {
            (false, (*reason).to_owned(), why.clone())
        }
        (Verdict::Accepted, Some(running)) => {
            (running.is_ready, running.reason.clone(), running.message.clone())
        }
        (Verdict::Accepted, None) => (false, "Pending".into(), "it is being applied".into()),
    };
    let accepted = !matches!(verdict, Verdict::Refused(..));
    let (why_accepted, said) = match verdict {
        Verdict::Refused(reason, why) => (*reason, why.clone()),
        _ => ("Accepted", String::new()),
    };
    let generation = object.meta.generation;
    let mut fields = running.map(|running| running.fields.clone()).unwrap_or_default();
    let before = conditions(&object.status);
    let word = |holds: bool| if holds { "True" } else { "False" };
    let fresh = [
        ("Accepted", word(accepted), why_accepted.to_owned(), said),
        ("Ready", word(ready), if reason.is_empty() { "Ready".into() } else { reason }, message),
    ];
    let conditions: Vec<Condition> = fresh
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let old = before.iter().find(|old| old.kind == kind && old.status == status);
            Condition {
                kind: kind.into(),
                status: status.into(),
                reason,
                message,
                last_transition_time: old.map_or(Time(now), |old| old.last_transition_time.clone()),
                observed_generation: generation,
            }
        })
        .collect();
    fields.insert("conditions".into(), json!(conditions));
    if let Some(generation) = generation {
        fields.insert("observedGeneration".into(), generation.into());
    }
    Value::Object(fields)
}

/// The conditions in a status that may be of another version.
fn conditions(status: &Value) -> Vec<Condition> {
    let listed = status["conditions"].as_array();
    let read = |value: &Value| serde_json::from_value(value.clone()).ok();
    listed.map(|listed| listed.iter().filter_map(read).collect()).unwrap_or_default()
}

/// Whether a status says the same as another that a cluster sent: a field that is not there is as good
/// as an empty one.
pub(crate) fn same(wanted: &Value, found: &Value) -> bool {
    let (Some(wanted), Some(found)) = (wanted.as_object(), found.as_object()) else {
        return wanted == found;
    };
    wanted.iter().all(|(key, value)| match found.get(key) {
        Some(found) => found == value,
        None => value.is_null() || value.as_array().is_some_and(Vec::is_empty),
    }) && found.keys().all(|key| wanted.contains_key(key))
}
