//! Waits on conditions, with a deadline.

use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Time for anything that should take far less; a slow machine under load needs some of it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Time between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` holds and returns how long that took.
///
/// # Panics
/// When it doesn't within `deadline`; the message names `what` was waited for.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    loop {
        if condition() {
            return start.elapsed();
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Makes a folder of its own for a test; it goes when the value does.
///
/// # Panics
/// When the temporary folder can't be written.
pub fn temp_dir() -> TempDir {
    // Paths of sockets must be short, so the name is.
    tempfile::Builder::new().prefix("van").tempdir().expect("the temporary folder can be written")
}
