//! Whether the state directory can be written.

use van_model::api::CheckLine;

use crate::site::Site;

/// The document that is written to find out, and removed.
const DOCUMENT: &str = "check";

fn judge(place: &str, written: Result<(), String>) -> CheckLine {
    match written {
        Ok(()) => CheckLine::passed("state", format!("{place} can be written")),
        Err(why) => CheckLine::failed("state", why)
            .hint("free space or make the file system writable; nothing new lasts until then"),
    }
}

impl Site {
    pub(super) fn check_state(&self) -> Option<CheckLine> {
        let place = self.store.location()?.display().to_string();
        let written = self.store.write(DOCUMENT, &true).and_then(|()| self.store.remove(DOCUMENT));
        Some(judge(&place, written.map_err(|error| error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed};

    use super::*;

    #[test]
    fn a_full_disk_fails() {
        assert_eq!(judge("/s", Ok(())).outcome, Passed);
        let full = judge("/s", Err("no space left".into()));
        assert_eq!((full.outcome, &*full.detail), (Failed, "no space left"));
        assert!(full.hint.is_some());
    }
}
