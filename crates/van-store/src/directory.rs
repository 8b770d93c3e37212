//! Plain files of the state directory: read with a limit, replaced at once or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::StoreError;
use crate::lock::Lock;

/// The most bytes that a document may have: 64 MiB.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// Torn files that are kept of one document; a further one replaces the last.
const TORN_MAX: u32 = 100;

/// An opened and locked state directory.
pub(crate) struct Directory {
    path: PathBuf,
    _lock: Lock,
}

impl Directory {
    /// Makes the directory where it is missing, takes its lock and tidies it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StoreError::io("create state directory", path))?;
        let lock = Lock::take(path)?;
        let directory = Self { path: path.into(), _lock: lock };
        directory.tidy()?;
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes what is open to others and removes what an interrupted write left.
    fn tidy(&self) -> Result<(), StoreError> {
        close_to_others(&self.path, 0o700);
        for file in self.files()? {
            let path = self.path.join(&file);
            if is_temporary(&file) {
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "a leftover could not be removed");
                }
            } else {
                close_to_others(&path, 0o600);
            }
        }
        Ok(())
    }

    /// The names of all files, in order; names that are not UTF-8 are nobody's of vand.
    pub(crate) fn files(&self) -> Result<Vec<String>, StoreError> {
        let listed = || StoreError::io("list state directory", &self.path);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(listed())? {
            files.extend(entry.map_err(listed())?.file_name().into_string());
        }
        files.sort();
        Ok(files)
    }

    /// The bytes of a file; `None` where there is none.
    pub(crate) fn read(&self, file: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path.join(file);
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path);
        let handle = match opened {
            Ok(handle) => handle,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
                return Err(StoreError::NotAFile { path });
            }
            Err(error) => return Err(StoreError::io("open state file", &path)(error)),
        };
        let metadata = handle.metadata().map_err(StoreError::io("read state file", &path))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile { path });
        }
        let mut bytes = Vec::new();
        handle
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(StoreError::io("read state file", &path))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(StoreError::TooLarge { path });
        }
        Ok(Some(bytes))
    }

    /// Replaces a file: from then on readers, and the disk after a crash, have the new bytes.
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(file);
        if bytes.len() as u64 > MAX_BYTES {
            return Err(StoreError::TooLarge { path });
        }
        let temporary = self.path.join(format!(".{file}.tmp"));
        let replaced = fill(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = replaced {
            // A full disk needs the room; what can't be removed now goes at the next start.
            if let Err(error) = fs::remove_file(&temporary) {
                tracing::debug!(path = %temporary.display(), %error, "a leftover stays");
            }
            return Err(StoreError::io("write state file", &path)(error));
        }
        self.sync(&path)
    }

    /// Removes a file; one that is not there is removed already.
    pub(crate) fn remove(&self, file: &str) -> Result<(), StoreError> {
        let path = self.path.join(file);
        match fs::remove_file(&path) {
            Ok(()) => self.sync(&path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("remove state file", &path)(error)),
        }
    }

    /// Gives a file another name, `STEM.torn-N` with the first free N, and says which.
    pub(crate) fn set_aside(&self, file: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(file);
        let stem = file.strip_suffix(".json").unwrap_or(file);
        let numbered = |n| self.path.join(format!("{stem}.torn-{n}"));
        let aside = (1..TORN_MAX)
            .map(numbered)
            .find(|aside| fs::symlink_metadata(aside).is_err())
            .unwrap_or_else(|| numbered(TORN_MAX));
        fs::rename(&path, &aside).map_err(StoreError::io("set aside state file", &path))?;
        self.sync(&aside)?;
        Ok(aside)
    }

    /// Makes a change of names last.
    fn sync(&self, changed: &Path) -> Result<(), StoreError> {
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(StoreError::io("sync the directory of", changed))
    }
}

fn fill(temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // `create_new` never follows a link and never writes into somebody else's file.
    options.write(true).create_new(true).mode(0o600);
    let mut handle = match options.open(temporary) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(temporary)?;
            options.open(temporary)?
        }
        opened => opened?,
    };
    handle.write_all(bytes)?;
    handle.sync_all()
}

fn is_temporary(file: &str) -> bool {
    file.starts_with('.') && file.ends_with(".tmp")
}

/// Takes the rights of group and others away; a link is left alone, as reading refuses it.
fn close_to_others(path: &Path, mode: u32) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    // The directory itself may be reached by a link, as systemd makes one for dynamic users.
    let metadata = match fs::metadata(path) {
        Ok(target) if target.is_dir() && mode == 0o700 => target,
        _ => metadata,
    };
    let found = metadata.permissions().mode() & 0o777;
    if metadata.is_symlink() || found & 0o077 == 0 || (mode == 0o600 && !metadata.is_file()) {
        return;
    }
    let path_shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => {
            tracing::warn!(path = %path_shown, found = %format_args!("{found:04o}"), "state was open to others; closed");
        }
        Err(error) => {
            tracing::warn!(path = %path_shown, found = %format_args!("{found:04o}"), %error, "state is open to others");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_that_could_not_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let bytes = vec![b' '; MAX_BYTES as usize + 1];
        assert!(matches!(directory.write("a.json", &bytes), Err(StoreError::TooLarge { .. })));
        assert_eq!(directory.read("a.json").unwrap(), None);
        directory.write("a.json", &bytes[1..]).unwrap();
        assert_eq!(
            directory.read("a.json").unwrap().map(|found| found.len()),
            Some(bytes.len() - 1)
        );
    }
}
