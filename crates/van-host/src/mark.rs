//! What a daemon remembers of the route that it made, beyond a crash and until the next boot.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;

/// The file, in the daemon's runtime directory, which a boot empties as it does the routes.
const FILE: &str = "subnet";

/// The most bytes of a network's text, with the line's end.
const MAX_BYTES: usize = 32;

/// Where it is written which network's route is this daemon's.
#[derive(Debug, Clone)]
pub(crate) struct Mark(PathBuf);

impl Mark {
    pub(crate) fn of(runtime_dir: &Path) -> Self {
        Self(runtime_dir.join(FILE))
    }

    /// The network whose route an earlier run made, and did not take away.
    pub(crate) fn read(&self) -> Option<Ipv4Net> {
        let text = fs::read(&self.0).ok().filter(|text| text.len() <= MAX_BYTES)?;
        // A line that was not written to its end names no network.
        std::str::from_utf8(&text).ok()?.strip_suffix('\n')?.parse().ok()
    }

    /// Remembers a network.
    pub(crate) fn set(&self, net: Ipv4Net) -> io::Result<()> {
        fs::write(&self.0, format!("{net}\n"))
    }

    /// Forgets it.
    pub(crate) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_network_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let mark = Mark::of(dir.path());
        assert_eq!(mark.read(), None);
        mark.clear().unwrap();
        let net = "198.18.0.0/16".parse().unwrap();
        mark.set(net).unwrap();
        assert_eq!(mark.read(), Some(net));
        for torn in ["", "198.18.0.0/1", "198.18.0.0/99\n", &"1".repeat(100), "\u{fe}\n"] {
            fs::write(dir.path().join(FILE), torn).unwrap();
            assert_eq!(mark.read(), None, "{torn:?}");
        }
        mark.clear().unwrap();
        assert!(!dir.path().join(FILE).exists());
    }
}
