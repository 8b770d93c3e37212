//! What keeps clients from being accepted (accept(2)).

use std::io;
use std::time::{Duration, Instant};

/// Time between two lines in the log about the same shortage.
const EXHAUSTED_LOG: Duration = Duration::from_secs(1);

/// A shortage of descriptors or memory that keeps clients from being accepted.
#[derive(Debug, Default)]
pub(super) struct Exhausted {
    lasts: bool,
    logged: Option<Instant>,
}

impl Exhausted {
    /// Marks the shortage. Returns whether it is time to tell.
    pub(super) fn is_due(&mut self) -> bool {
        self.lasts = true;
        let due = self.logged.is_none_or(|at| at.elapsed() >= EXHAUSTED_LOG);
        if due {
            self.logged = Some(Instant::now());
        }
        due
    }

    /// Marks its end. Returns whether there was one.
    pub(super) fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.lasts)
    }
}

/// Why no client was accepted (accept(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is none now.
    Nobody,
    /// The client itself is gone, or its network is: on with the next.
    Client,
    /// The process or the system is out of descriptors or memory.
    Exhausted,
    /// The socket does not listen any more.
    Place,
}

impl Refusal {
    pub(super) fn of(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::AGAIN) => Self::Nobody,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            Some(Errno::INVAL | Errno::BADF | Errno::NOTSOCK | Errno::OPNOTSUPP) => Self::Place,
            _ => Self::Client,
        }
    }
}
