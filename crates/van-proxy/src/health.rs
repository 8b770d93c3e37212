//! Whether a target is well, as its checks and connections tell.

/// What is known of a target's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    healthy: bool,
    /// Nothing has been heard yet: the first word decides.
    new: bool,
    failures: u32,
    successes: u32,
    reason: Option<String>,
}

impl Health {
    /// A target that is checked: not healthy before its first check.
    pub(crate) fn checked() -> Self {
        Self { healthy: false, new: true, failures: 0, successes: 0, reason: None }
    }

    /// A target that nobody checks: always healthy.
    pub(crate) fn unchecked() -> Self {
        Self { healthy: true, new: false, failures: 0, successes: 0, reason: None }
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Whether nothing has been heard of the target yet.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// Why the last check or connection failed.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Whether something failed since the last success.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0 || !self.healthy
    }

    /// Takes a success; `due` in a row make a failed target healthy again. Returns whether that
    /// changes what is shown.
    pub(crate) fn succeeded(&mut self, due: u32) -> bool {
        self.successes = self.successes.saturating_add(1);
        self.failures = 0;
        if !self.healthy && !self.new && self.successes < due {
            return false;
        }
        let changed = !self.healthy || self.reason.is_some();
        (self.healthy, self.new, self.reason) = (true, false, None);
        changed
    }

    /// Takes a failure; `tolerated` in a row make a checked target unhealthy. Returns whether that
    /// changes what is shown.
    pub(crate) fn failed(&mut self, tolerated: Option<u32>, reason: String) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.successes = 0;
        let healthy = self.healthy && tolerated.is_none_or(|most| self.failures < most);
        let changed = self.new || healthy != self.healthy || self.reason.as_ref() != Some(&reason);
        (self.healthy, self.new, self.reason) = (healthy, false, Some(reason));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides_and_then_two_failures() {
        let mut health = Health::checked();
        assert!(!health.is_healthy());
        assert!(health.succeeded(1) && health.is_healthy());
        assert!(!health.succeeded(1), "no news");
        assert!(health.failed(Some(2), "refused".into()) && health.is_healthy());
        assert!(health.failed(Some(2), "refused".into()) && !health.is_healthy());
        assert!(!health.failed(Some(2), "refused".into()), "no news");
        assert!(health.failed(Some(2), "timed out".into()), "the reason is news");
        assert!(health.succeeded(1) && health.is_healthy() && health.reason().is_none());

        let mut health = Health::checked();
        assert!(health.failed(Some(2), "refused".into()) && !health.is_healthy());
    }

    #[test]
    fn a_success_between_failures_starts_the_count_anew() {
        let mut health = Health::unchecked();
        for _ in 0..5 {
            health.failed(Some(2), "refused".into());
            assert!(health.is_healthy());
            health.succeeded(1);
        }
    }

    #[test]
    fn what_is_not_checked_stays_healthy() {
        let mut health = Health::unchecked();
        for _ in 0..5 {
            health.failed(None, "refused".into());
            assert!(health.is_healthy() && health.reason() == Some("refused"));
        }
    }

    #[test]
    fn a_failed_target_comes_back_after_as_many_successes_as_are_due() {
        let mut health = Health::checked();
        assert!(health.succeeded(3) && health.is_healthy(), "the first word decides");
        assert!(health.failed(Some(1), "refused".into()) && !health.is_healthy());
        assert!(!health.succeeded(3) && !health.succeeded(3) && !health.is_healthy());
        assert!(!health.failed(Some(1), "refused".into()));
        assert!(!health.succeeded(3) && !health.succeeded(3) && health.is_failing());
        assert!(health.succeeded(3) && health.is_healthy());
    }
}
