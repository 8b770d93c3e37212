//! How the process ends.

/// Why the process ends with a failure.
#[derive(Debug)]
pub(crate) struct Exit {
    code: u8,
    lines: Vec<String>,
}

/// The operation failed.
pub(crate) const FAILED: u8 = 1;

/// The token was refused (as `vanctl`: not allowed).
pub(crate) const NOT_ALLOWED: u8 = 5;

/// Another daemon holds the state directory (`EX_TEMPFAIL`).
pub(crate) const IN_USE: u8 = 75;

impl Exit {
    /// Ends with `vand: WHAT failed: WHY`.
    pub(crate) fn failed(what: &str, why: impl std::fmt::Display) -> Self {
        Self::with_code(FAILED, what, why)
    }

    pub(crate) fn with_code(code: u8, what: &str, why: impl std::fmt::Display) -> Self {
        Self { code, lines: vec![format!("vand: {what} failed: {why}")] }
    }

    /// Ends with these lines as they are.
    pub(crate) fn lines(lines: Vec<String>) -> Self {
        Self { code: FAILED, lines }
    }

    /// Adds what the user can do.
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.lines.push(format!("hint: {hint}"));
        self
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Tells it on standard error.
    #[expect(clippy::print_stderr, reason = "the last words of the process")]
    pub(crate) fn report(&self) {
        self.lines.iter().for_each(|line| eprintln!("{line}"));
    }
}

/// Tells on standard error what is not as it should be, though the process goes on.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
pub(crate) fn warn(line: &str) {
    // The journal takes the level from the line's beginning (sd-daemon(3)).
    let level = std::env::var_os("JOURNAL_STREAM").map_or("", |_| "<4>");
    eprintln!("{level}vand: {line}");
}
