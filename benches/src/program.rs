//! Where the programs of a run are.

use std::env;
use std::path::{Path, PathBuf};

/// The programs of a run: vand's by option, the peers' in their folder or in PATH.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon.
    pub vand: PathBuf,
    /// Its client.
    pub vanctl: PathBuf,
    /// The folder of peers that were built for the run.
    pub peers: PathBuf,
}

impl Programs {
    /// Finds the program `name` among the built peers, then in PATH and in the folders of
    /// daemons, which an ordinary user's PATH lacks.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.peers.clone())
            .chain(env::split_paths(&path))
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        folders.map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// Gives the path of the daemon and its client, if both are there.
    pub fn own(&self) -> Option<(&Path, &Path)> {
        (self.vand.is_file() && self.vanctl.is_file()).then_some((&self.vand, &self.vanctl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_nothing_else() {
        let programs =
            Programs { vand: "/nowhere".into(), vanctl: "/nowhere".into(), peers: "/".into() };
        assert!(programs.find("sh").is_some());
        assert!(programs.find("no-such-program-anywhere").is_none());
        assert!(programs.own().is_none());
    }
}
