//! The log: fields to the journal under systemd, lines on standard error elsewhere.
//!
//! In the journal an event has the fields `MESSAGE_ID`, `VAN_REASON`, `VAN_SUBJECT` and, where it is
//! about one, `VAN_LINK`, `VAN_SERVICE` or `VAN_SITE`; all else has its own fields behind `VAN_`.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};
use van_site::EVENT_TARGET;

use crate::log_rate::Rate;
use crate::log_ring::Ring;

/// Changes what is logged while the daemon runs.
pub(crate) type Handle = reload::Handle<EnvFilter, Registry>;

/// What is quieter than the rest where nothing is said of it: the name server's library tells of each
/// question at level info.
const QUIET: &str = "hickory_server=warn";

/// Starts logging at a level or filter; `RUST_LOG` goes before it.
pub(crate) fn start(level: &str) -> (Handle, Ring) {
    let chosen = std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty());
    let filter = EnvFilter::builder().parse_lossy(quiet(chosen.as_deref().unwrap_or(level)));
    let (filter, handle) = reload::Layer::new(filter);
    let ring = Ring::default();
    let kept = fmt::layer().with_writer(ring.clone()).with_target(false).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter).with(Rate::default());
    let registry = registry.with(kept.fmt_fields(fields()));
    let journal = is_journal().then(journal).and_then(Result::ok);
    let started = match journal {
        Some((events, rest)) => {
            let events = events.with_filter(filter_fn(|meta| meta.target() == EVENT_TARGET));
            let rest = rest.with_filter(filter_fn(|meta| meta.target() != EVENT_TARGET));
            registry.with(events).with(rest).try_init()
        }
        None => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
            registry.with(lines.fmt_fields(fields()).with_ansi(colours)).try_init()
        }
    };
    // A second start, as in a test, goes on with the first one's log.
    let _ = started;
    (handle, ring)
}

/// The journal for events, whose fields have their names already, and for the rest.
fn journal() -> std::io::Result<(tracing_journald::Layer, tracing_journald::Layer)> {
    let layer = |prefix: Option<&str>| {
        let journal = tracing_journald::layer()?.with_syslog_identifier("vand".into());
        Ok::<_, std::io::Error>(journal.with_field_prefix(prefix.map(str::to_owned)))
    };
    Ok((layer(None)?, layer(Some("VAN"))?))
}

/// Fields for people: of what an event has for the journal, only its subject and reason.
fn fields() -> impl for<'w> fmt::FormatFields<'w> + Send + Sync + 'static {
    let one = debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        "VAN_SUBJECT" => write!(writer, "subject={value:?}"),
        "VAN_REASON" => write!(writer, "reason={value:?}"),
        "MESSAGE_ID" | "VAN_LINK" | "VAN_SERVICE" | "VAN_SITE" => Ok(()),
        name => write!(writer, "{name}={value:?}"),
    });
    one.delimited(" ")
}

/// Reads a level or a filter as in `RUST_LOG`.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    van_config::check_level(text)?;
    EnvFilter::builder()
        .parse(quiet(text))
        .map_err(|e| format!("{text:?} is no log level or filter: {e}"))
}

fn quiet(text: &str) -> String {
    if text.contains("hickory") { text.to_owned() } else { format!("{text},{QUIET}") }
}

/// Whether standard error goes to the journal: systemd then names its device and inode.
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    named == format!("{}:{}", stderr.dev(), stderr.ino())
}
