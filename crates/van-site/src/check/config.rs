//! Whether the configuration on the disk can be read, and is the one that runs.

use van_model::api::CheckLine;

use crate::site::Site;

/// How the configuration on the disk compares.
#[derive(Debug, Clone, Copy)]
enum OnDisk<'a> {
    Same,
    Other,
    /// Every mistake, a line each.
    Bad(&'a str),
}

fn judge(found: OnDisk<'_>) -> Vec<CheckLine> {
    match found {
        OnDisk::Same => {
            vec![CheckLine::passed("config", "the configuration on the disk is valid and runs")]
        }
        OnDisk::Other => {
            let text = "the configuration on the disk is valid, but another one runs";
            vec![CheckLine::warning("config", text).hint("apply it: vanctl reload")]
        }
        OnDisk::Bad(mistakes) => {
            let line = |mistake: &str| {
                CheckLine::failed("config", mistake)
                    .hint("correct it; the one that runs goes on until the next start")
            };
            mistakes.lines().map(line).collect()
        }
    }
}

impl Site {
    pub(super) fn check_config(&self) -> Vec<CheckLine> {
        let Some(reload) = &self.environment.reload else { return Vec::new() };
        judge(match &reload() {
            Ok(loaded) if loaded.config == self.loaded.lock().config => OnDisk::Same,
            Ok(_) => OnDisk::Other,
            Err(mistakes) => OnDisk::Bad(mistakes),
        })
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed, Warning};

    use super::*;

    #[test]
    fn every_mistake_is_a_line() {
        assert_eq!(judge(OnDisk::Same)[0].outcome, Passed);
        assert_eq!(judge(OnDisk::Other)[0].outcome, Warning);
        let bad = judge(OnDisk::Bad("a:1: x\na:2: y"));
        assert_eq!(bad.len(), 2);
        assert_eq!((bad[1].outcome, &*bad[1].detail), (Failed, "a:2: y"));
    }
}
