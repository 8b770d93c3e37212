//! `[log]`: how much the journal tells.

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::shorten;

pub(crate) const SECTION: Section = Section {
    name: "log",
    list: false,
    keys: &[Key::new("level", Kind::Text(level, LEVEL))],
    required: &[],
    whole: schema::fits,
};

const LEVEL: &str = "error, warn, info, debug, trace, or a filter as in RUST_LOG";
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const LEVEL_MAX: usize = 1024;

/// Checks a log level or filter as `[log] level` does; the error is a sentence.
pub fn check_level(text: &str) -> Result<(), String> {
    match level(text, None) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{:?} is no log level: use {LEVEL}", shorten(text))),
    }
}

fn level(text: &str, _: Option<&str>) -> Result<String, Problem> {
    if text.len() <= LEVEL_MAX && text.split(',').all(is_directive) {
        return Ok(text.into());
    }
    let what = format!("{:?} is no log level", shorten(text));
    Err(Problem::new(what, format!("accepted: {LEVEL}")))
}

fn is_directive(text: &str) -> bool {
    match text.split_once('=') {
        None => LEVELS.contains(&text),
        Some((target, level)) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-:".contains(&b);
            !target.is_empty()
                && target.bytes().all(plain)
                && (LEVELS.contains(&level) || level == "off")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters() {
        for good in ["info", "van_mux=debug", "info,van_mux::frame=trace,hyper=off"] {
            assert!(level(good, None).is_ok(), "{good:?}");
        }
        for bad in ["", "loud", "info,", "=debug", "van_mux=", "van mux=info", "INFO"] {
            assert!(level(bad, None).is_err(), "{bad:?}");
        }
    }
}
