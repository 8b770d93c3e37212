//! Waits until something new works, and shows on a terminal that it waits.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::error::{Exit, Outcome, Problem, one_line};
use crate::output::Output;

/// How often the daemon is asked.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long nothing is shown: what is quick needs no words.
const PATIENCE: Duration = Duration::from_millis(500);

/// How something stands.
pub(crate) enum Verdict<T> {
    /// It works.
    Done(T),
    /// Not yet; how it stands in a few words.
    Pending(String),
    /// It never will.
    Failed(Problem),
}

/// Asks `look` until it is done or failed, at most for `limit`.
///
/// # Errors
/// The failure that `look` tells, or that the time is over.
pub(crate) async fn until<T>(
    output: Output,
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Outcome<Verdict<T>>,
) -> Outcome<T> {
    let start = Instant::now();
    let mut spinner = Spinner::new(output);
    loop {
        let stands = match look().await? {
            Verdict::Done(value) => return Ok(value),
            Verdict::Failed(problem) => return Err(problem),
            Verdict::Pending(stands) => stands,
        };
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            drop(spinner);
            let limit = humantime::format_duration(limit);
            let why = format!("{what} is not ready after {limit}: {stands}");
            return Err(Problem::new(Exit::TimedOut, why)
                .hint("it stays, and may still become ready; --wait DURATION waits longer"));
        }
        spinner.show(what, &stands, start.elapsed());
        tokio::time::sleep(INTERVAL.min(left)).await;
    }
}

/// One line on a terminal that says what is waited for; cleared when dropped.
struct Spinner {
    enabled: bool,
    shown: bool,
    turn: usize,
}

impl Spinner {
    const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

    fn new(output: Output) -> Self {
        let enabled = !output.quiet && io::stderr().is_terminal();
        Self { enabled, shown: false, turn: 0 }
    }

    fn show(&mut self, what: &str, stands: &str, waited: Duration) {
        if !self.enabled || waited < PATIENCE {
            return;
        }
        self.shown = true;
        self.turn = (self.turn + 1) % Self::FRAMES.len();
        let line = line(what, stands, waited);
        // A terminal that went away needs no spinner.
        let _unseen = write!(io::stderr(), "\r\x1b[2K{} {line}", Self::FRAMES[self.turn]);
    }
}

fn line(what: &str, stands: &str, waited: Duration) -> String {
    let text = one_line(&format!("waiting for {what}: {stands}"));
    // A line that wraps can't be cleared again.
    let text: String = text.chars().take(68).collect();
    format!("{text} ({}s)", waited.as_secs())
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if self.shown {
            let _unseen = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    const SILENT: Output = Output { format: Format::Table, quiet: true, color: false };

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn asks_until_it_is_done() {
        let mut asked = 0;
        let done = run(until(SILENT, "it", Duration::from_secs(60), async || {
            asked += 1;
            Ok(if asked == 3 { Verdict::Done(asked) } else { Verdict::Pending("no".into()) })
        }));
        assert_eq!(done, Ok(3));
    }

    #[test]
    fn tells_what_was_missing_when_the_time_is_over() {
        let over = run(until(SILENT, "link a", Duration::from_millis(1), async || {
            Ok(Verdict::<()>::Pending("connecting".into()))
        }));
        let problem = over.unwrap_err();
        assert_eq!(problem.exit, Exit::TimedOut);
        assert_eq!(problem.why, "link a is not ready after 1ms: connecting");
    }

    #[test]
    fn does_not_wait_out_what_failed() {
        let failed = run(until(SILENT, "it", Duration::from_secs(3600), async || {
            Ok(Verdict::<()>::Failed(Problem::failed("refused")))
        }));
        assert_eq!(failed, Err(Problem::failed("refused")));
    }

    #[test]
    fn the_line_is_short() {
        let text = line("link to-public", "connecting", Duration::from_secs(3));
        assert_eq!(text, "waiting for link to-public: connecting (3s)");
        assert!(line("x", &"y".repeat(500), Duration::ZERO).chars().count() < 80);
    }
}
