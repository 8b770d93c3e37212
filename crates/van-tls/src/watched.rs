//! What is made of files, made anew when they change.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use crate::error::TlsError;

/// How what was read stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why the files can't be used as they are now.
    pub problem: Option<String>,
    /// When the certificate in use expires, in seconds since 1970.
    pub not_after: Option<i64>,
}

/// What was made, and when its certificate expires.
pub(crate) struct Made<C> {
    pub(crate) config: C,
    pub(crate) not_after: Option<i64>,
}

type Make<C> = Box<dyn Fn() -> Result<Made<C>, TlsError> + Send + Sync>;

/// A file as it was: device, inode, length, time of its last change.
type Stamp = (u64, u64, u64, i64, i64);

/// A configuration and the files that it was read from.
pub(crate) struct Watched<C> {
    paths: Vec<PathBuf>,
    make: Make<C>,
    config: ArcSwapOption<C>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stamps: Vec<Option<Stamp>>,
    standing: Standing,
}

impl<C> Watched<C> {
    /// Reads for the first time.
    pub(crate) fn new(paths: Vec<PathBuf>, make: Make<C>) -> Self {
        let watched = Self { paths, make, config: ArcSwapOption::empty(), state: Mutex::default() };
        let stamps = watched.stamps();
        watched.read(stamps);
        watched
    }

    /// What was last read whole.
    pub(crate) fn config(&self) -> Result<Arc<C>, TlsError> {
        self.config
            .load_full()
            .ok_or_else(|| TlsError::NotReady(self.standing().problem.unwrap_or_default()))
    }

    pub(crate) fn standing(&self) -> Standing {
        self.state.lock().standing.clone()
    }

    /// Reads again if a file has changed. Returns whether the standing is another.
    pub(crate) fn look(&self) -> bool {
        let stamps = self.stamps();
        if self.state.lock().stamps == stamps {
            return false;
        }
        let before = self.standing();
        self.read(stamps);
        self.standing() != before
    }

    fn read(&self, stamps: Vec<Option<Stamp>>) {
        let made = (self.make)();
        let mut state = self.state.lock();
        // A file that is replaced meanwhile has another stamp at the next look.
        state.stamps = stamps;
        match made {
            Ok(Made { config, not_after }) => {
                state.standing = Standing { problem: None, not_after };
                self.config.store(Some(Arc::new(config)));
            }
            Err(error) => state.standing.problem = Some(error.to_string()),
        }
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        };
        self.paths.iter().map(stamp).collect()
    }
}

impl<C> fmt::Debug for Watched<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("paths", &self.paths).finish_non_exhaustive()
    }
}
