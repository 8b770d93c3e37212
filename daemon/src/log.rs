//! The log: fields to the journal under systemd, lines on standard error elsewhere.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

/// Changes what is logged while the daemon runs.
pub(crate) type Handle = reload::Handle<EnvFilter, Registry>;

/// Starts logging at a level or filter; `RUST_LOG` goes before it.
pub(crate) fn start(level: &str) -> Handle {
    let chosen = std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty());
    let filter = EnvFilter::builder().parse_lossy(chosen.as_deref().unwrap_or(level));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let journal = is_journal().then(tracing_journald::layer).and_then(Result::ok);
    let started = match journal {
        Some(journal) => registry.with(journal.with_field_prefix(None)).try_init(),
        None => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
            registry.with(lines.with_ansi(colours)).try_init()
        }
    };
    // A second start, as in a test, goes on with the first one's log.
    let _ = started;
    handle
}

/// Reads a level or a filter as in `RUST_LOG`.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    van_config::check_level(text)?;
    EnvFilter::builder().parse(text).map_err(|e| format!("{text:?} is no log level or filter: {e}"))
}

/// Whether standard error goes to the journal: systemd then names its device and inode.
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    named == format!("{}:{}", stderr.dev(), stderr.ino())
}
