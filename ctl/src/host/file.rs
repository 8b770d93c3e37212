//! The configuration file: read, checked by the daemon's own checker, and replaced as a whole.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use crate::error::{Outcome, Problem, reason};

/// The largest configuration that the daemon reads, and some more.
const SIZE_MAX: u64 = 8 << 20;
/// The rights of a new file: there are no secrets in it.
const MODE: u32 = 0o644;

/// A configuration file of this host.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
}

impl ConfigFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its text; nothing where there is no such file.
    ///
    /// # Errors
    /// When it can't be read, or is no text.
    pub(crate) fn read(&self) -> Outcome<Option<String>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.problem("read", &error)),
        };
        let mut text = String::new();
        let read = file.take(SIZE_MAX).read_to_string(&mut text);
        read.map_err(|error| self.problem("read", &error))?;
        Ok(Some(text))
    }

    /// Has `vand check` look at a text as if it were this file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, text: &str) -> Outcome {
        // Beside the file, so that the drop-ins of the same folder are read with it.
        let draft = draft(&self.path, text, MODE, None);
        let draft = draft.map_err(|error| self.problem("write", &error))?;
        let checked = {
            let mut command = Command::new(daemon());
            // What the caller's environment says is not what the service's will.
            let ours = std::env::vars_os().filter(|(name, _)| is_setting(name));
            for (name, _) in ours {
                command.env_remove(name);
            }
            command.arg("check").arg("--config").arg(draft.path()).stdin(Stdio::null()).output()
        };
        let output = checked.map_err(|error| {
            Problem::failed(format!("can't run vand check: {}", reason(&error)))
                .hint("install vand beside vanctl, or where the PATH finds it")
        })?;
        if output.status.success() {
            return Ok(());
        }
        let (draft, path) = (draft.path().display().to_string(), self.path.display().to_string());
        let said = String::from_utf8_lossy(&output.stderr).replace(&draft, &path);
        Err(Problem::failed(said.trim().replace('\n', "; "))
            .hint("nothing was changed; mend the configuration, then run this again"))
    }

    /// Replaces it, or makes it: whole or not at all, with the rights and the owner that it had.
    ///
    /// # Errors
    /// When the disk can't be written.
    pub(crate) fn replace(&self, text: &str) -> Outcome {
        let write_it = || {
            // A link stays one.
            let real = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
            let old = fs::metadata(&real).ok();
            let mode = old.as_ref().map_or(MODE, |old| old.mode() & 0o7777);
            let owner = old.map(|old| (old.uid(), old.gid()));
            draft(&real, text, mode, owner)?.persist(&real)?;
            real.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write_it().map_err(|error| self.problem("write", &error))
    }

    fn problem(&self, what: &str, error: &io::Error) -> Problem {
        Problem::failed(format!("can't {what} {}: {}", self.path.display(), reason(error)))
    }
}

/// A variable that changes the configuration.
fn is_setting(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("VAND_"))
}

/// The daemon's program: beside this one, else where the PATH finds it.
fn daemon() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("vand"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| "vand".into())
}

/// Writes a text beside a file, whose folder is made where it is missing; gone where it is not kept.
fn draft(
    path: &Path,
    text: &str,
    mode: u32,
    owner: Option<(u32, u32)>,
) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut draft = tempfile::Builder::new().prefix(".vand.toml.").tempfile_in(folder)?;
    let file = draft.as_file_mut();
    if let Some((user, group)) = owner {
        fchown(&*file, Some(user), Some(group))?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_rights_and_a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = ConfigFile::new(dir.path().join("etc/vand.toml"));
        assert_eq!(file.read(), Ok(None));
        file.replace("a").unwrap();
        assert_eq!(file.read(), Ok(Some("a".into())));
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o7777, MODE);

        let real = dir.path().join("real.toml");
        fs::write(&real, "b").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(file.path()).unwrap();
        std::os::unix::fs::symlink(&real, file.path()).unwrap();
        file.replace("c").unwrap();
        assert!(fs::symlink_metadata(file.path()).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "c");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o600);
        let left = |folder: &Path| fs::read_dir(folder).unwrap().count();
        assert_eq!((left(dir.path()), left(&dir.path().join("etc"))), (2, 1));
    }

    #[test]
    fn what_is_no_text_is_told_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = ConfigFile::new(dir.path().join("vand.toml"));
        fs::write(file.path(), [0xff, 0xfe]).unwrap();
        assert!(file.read().unwrap_err().why.contains("vand.toml: "));
        let folder = ConfigFile::new(dir.path().to_owned());
        assert!(folder.read().is_err());
    }
}
