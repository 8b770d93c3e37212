//! Conditions: what is true of a resource, since when and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// It can't be told now.
    Unknown,
}

/// One statement about a resource, in the form of Kubernetes' conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is stated; every resource has `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word in CamelCase, stable, for programs.
    pub reason: String,
    /// A sentence for people; may be empty.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
}

/// The conditions of a resource, one of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// States `kind`; the transition time moves only when `status` changes.
    ///
    /// Returns whether anything changed.
    pub fn set(
        &mut self,
        now: Timestamp,
        kind: &str,
        status: ConditionStatus,
        reason: &str,
        message: &str,
    ) -> bool {
        let fresh = Condition {
            kind: kind.into(),
            status,
            reason: reason.into(),
            message: message.into(),
            last_transition_time: now,
        };
        match self.0.iter_mut().find(|c| c.kind == kind) {
            None => self.0.push(fresh),
            Some(old) if old.status == status && old.reason == reason && old.message == message => {
                return false;
            }
            Some(old) => {
                let since = if old.status == status { old.last_transition_time } else { now };
                *old = Condition { last_transition_time: since, ..fresh };
            }
        }
        true
    }

    /// Shorthand for the condition that every resource has.
    pub fn set_ready(&mut self, now: Timestamp, ready: bool, reason: &str, message: &str) -> bool {
        let status = if ready { ConditionStatus::True } else { ConditionStatus::False };
        self.set(now, "Ready", status, reason, message)
    }

    /// The condition of this kind.
    pub fn get(&self, kind: &str) -> Option<&Condition> {
        self.0.iter().find(|c| c.kind == kind)
    }

    /// Whether `Ready` is true.
    pub fn is_ready(&self) -> bool {
        self.get("Ready").is_some_and(|c| c.status == ConditionStatus::True)
    }

    /// All of them, in the order in which they were first stated.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let mut conditions = Conditions::default();
        let at = |s| Timestamp::from_second(s).unwrap();
        assert!(conditions.set_ready(at(1), false, "Connecting", "dialling"));
        assert!(!conditions.set_ready(at(2), false, "Connecting", "dialling"));
        assert!(conditions.set_ready(at(3), false, "Refused", "no"));
        assert_eq!(conditions.get("Ready").unwrap().last_transition_time, at(1));
        assert!(conditions.set_ready(at(4), true, "Connected", ""));
        assert_eq!(conditions.get("Ready").unwrap().last_transition_time, at(4));
        assert!(conditions.is_ready());
    }
}
