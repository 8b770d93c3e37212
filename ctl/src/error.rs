//! Why a command failed, and with which code it ends.

use std::io;

use van_model::{ApiError, ErrorCode};

/// The exit codes, which are part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Standard output was closed by its reader, who has seen enough.
    Quiet = 0,
    /// The operation failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The daemon can't be reached.
    Unreachable = 3,
    /// There is no such thing.
    NotFound = 4,
    /// The caller may not do it.
    NotAllowed = 5,
    /// It took too long.
    TimedOut = 6,
}

/// Why a command failed; what failed is said by the command's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    pub(crate) why: String,
    pub(crate) hint: Option<String>,
}

/// What a step of a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(exit: Exit, why: impl Into<String>) -> Self {
        Self { exit, why: why.into(), hint: None }
    }

    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::new(Exit::Failed, why)
    }

    pub(crate) fn usage(why: impl Into<String>) -> Self {
        Self::new(Exit::Usage, why)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The lines for standard error; none where the reader has gone.
    pub(crate) fn lines(&self, what: &str) -> Option<String> {
        if self.exit == Exit::Quiet {
            return None;
        }
        let mut lines = format!("vanctl: {what} failed: {}\n", one_line(&self.why));
        if let Some(hint) = &self.hint {
            lines.push_str(&format!("hint: {}\n", one_line(hint)));
        }
        Some(lines)
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let exit = match error.code {
            ErrorCode::NotFound => Exit::NotFound,
            ErrorCode::NotAllowed => Exit::NotAllowed,
            ErrorCode::Timeout => Exit::TimedOut,
            ErrorCode::Invalid
            | ErrorCode::Conflict
            | ErrorCode::Unavailable
            | ErrorCode::Internal => Exit::Failed,
        };
        Self { exit, why: error.message, hint: error.hint }
    }
}

/// Failures of writing to standard output.
impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Quiet, "");
        }
        Self::failed(format!("can't write the output: {}", reason(&error)))
    }
}

/// A system error in words, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

/// Keeps a message on one line and control characters off the terminal.
pub(crate) fn one_line(text: &str) -> String {
    crate::table::clean(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_why_and_hint() {
        let problem = Problem::new(Exit::NotFound, "no link named \"x\"").hint("list\nthem");
        assert_eq!(
            problem.lines("link status").unwrap(),
            "vanctl: link status failed: no link named \"x\"\nhint: list them\n"
        );
        let quiet = Problem::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((quiet.lines("x"), quiet.exit as u8), (None, 0));
    }

    #[test]
    fn each_code_has_its_exit() {
        for (code, exit) in [
            (ErrorCode::Invalid, 1),
            (ErrorCode::Conflict, 1),
            (ErrorCode::Unavailable, 1),
            (ErrorCode::Internal, 1),
            (ErrorCode::NotFound, 4),
            (ErrorCode::NotAllowed, 5),
            (ErrorCode::Timeout, 6),
        ] {
            assert_eq!(Problem::from(ApiError::new(code, "x")).exit as u8, exit, "{code:?}");
        }
    }

    #[test]
    fn system_errors_lose_their_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(one_line("a\u{1b}[31mb\n c"), "a\\u{1b}[31mb c");
    }
}
