//! What a site found out about itself.

use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// All is well.
    Passed,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Failed,
}

impl CheckOutcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One line of `POST /v1/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckLine {
    /// What it belongs to: host, configuration, identity, clock, ports, limits, dns, podman, links,
    /// routes, services or versions.
    #[serde(default)]
    pub group: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// What was looked at, as `link/to-public` or `clock`.
    pub what: String,
    /// What was found, for people.
    pub detail: String,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl CheckLine {
    /// Makes a line without a hint.
    pub fn new(outcome: CheckOutcome, what: impl Into<String>, detail: impl Into<String>) -> Self {
        let (what, detail) = (what.into(), detail.into());
        Self { group: String::new(), outcome, what, detail, hint: None }
    }

    /// Makes a line of something that is well.
    pub fn passed(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(CheckOutcome::Passed, what, detail)
    }

    /// Makes a line of something that works, but not as it should.
    pub fn warning(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(CheckOutcome::Warning, what, detail)
    }

    /// Makes a line of something that does not work.
    pub fn failed(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(CheckOutcome::Failed, what, detail)
    }

    /// Puts it into a group.
    #[must_use]
    pub fn within(mut self, group: &str) -> Self {
        self.group = group.into();
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
