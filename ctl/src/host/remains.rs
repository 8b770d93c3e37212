//! What a site leaves on its host: state, and a configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Place;
use crate::error::{Outcome, Problem, reason};

/// What a site left behind; of other sites of the host there is nothing in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Files and folders of its state: identity, peers, resources.
    pub(crate) state: Vec<PathBuf>,
    /// Files of its configuration, its drop-ins and tokens.
    pub(crate) config: Vec<PathBuf>,
}

impl Remains {
    /// Looks for them.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub(crate) fn of(place: &Place) -> Outcome<Self> {
        // The sites of vand@.service live in the host's folders.
        let sites = place.state.join("sites");
        let state = entries(&place.state)?.into_iter().filter(|path| place.own || *path != sites);
        let mut config = entries(&place.config)?;
        config.retain(|path| *path == place.file());
        config.extend(entries(&place.config.join("conf.d"))?);
        config.extend(entries(&place.config.join("tokens"))?);
        Ok(Self { state: state.collect(), config })
    }

    /// Removes files and folders; a link goes and what it names stays.
    ///
    /// # Errors
    /// At the first that can't be removed.
    pub(crate) fn remove(paths: &[PathBuf]) -> Outcome {
        for path in paths {
            let is_folder = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
            let done = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            match done {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(problem("remove", path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What is in a folder, sorted; nothing where there is none.
fn entries(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed,
    };
    let paths = listed.and_then(|entries| entries.map(|e| Ok(e?.path())).collect());
    let mut paths: Vec<PathBuf> = paths.map_err(|error| problem("read", folder, &error))?;
    paths.sort();
    Ok(paths)
}

fn problem(what: &str, path: &Path, error: &io::Error) -> Problem {
    Problem::failed(format!("can't {what} {}: {}", path.display(), reason(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_and_what_links_name_stay() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let place = Place { own: false, config: at("etc"), state: at("lib"), socket: at("sock") };
        assert_eq!(Remains::of(&place), Ok(Remains::default()));
        for folder in ["lib/sites/shop", "lib/peers", "etc/conf.d", "etc/sites/shop", "far"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "lib/identity.key",
            "lib/peers/a",
            "lib/sites/shop/key",
            "etc/vand.toml",
            "etc/conf.d/a.toml",
            "far/x",
        ] {
            fs::write(at(file), "").unwrap();
        }
        std::os::unix::fs::symlink(at("far"), at("lib/link")).unwrap();
        let remains = Remains::of(&place).unwrap();
        assert_eq!(remains.state, [at("lib/identity.key"), at("lib/link"), at("lib/peers")]);
        assert_eq!(remains.config, [at("etc/vand.toml"), at("etc/conf.d/a.toml")]);
        Remains::remove(&remains.state).unwrap();
        Remains::remove(&remains.state).unwrap();
        assert_eq!(Remains::of(&place).unwrap().state, Vec::<PathBuf>::new());
        assert!(at("lib/sites/shop/key").exists() && at("far/x").exists());
    }
}
