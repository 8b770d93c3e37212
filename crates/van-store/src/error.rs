//! Why the state could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

/// Why an operation on the state failed: what was tried, why, and what to do.
///
/// After any of them the state is what it was before.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the directory.
    #[error("state directory {} is in use by vand{}: stop that one, or choose another with --state-dir", dir.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, where it could be read.
        pid: Option<u32>,
    },
    /// A later version of vand wrote it.
    #[error("state directory {} is of a newer vand (format {found}, this one knows {known}): install that version again, or choose another directory with --state-dir", dir.display())]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// The format that was found.
        found: u32,
        /// The format that this version knows.
        known: u32,
    },
    /// No name for a document.
    #[error("{name:?} can't name a state file: use a-z, 0-9 and '-', 1 to 64 characters")]
    Name {
        /// What was given.
        name: String,
    },
    /// The system refused.
    #[error("{action} {} failed: {}", path.display(), advice(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A link or something else stands where a plain file is expected.
    #[error("{} is not a plain file: vand follows no links in its state directory, move it away", path.display())]
    NotAFile {
        /// Where it stands.
        path: PathBuf,
    },
    /// A document is over the limit of 64 MiB.
    #[error("state file {} is larger than 64 MiB: move it away, vand does not write such", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A value has no form in JSON.
    #[error("the state {name:?} can't be written as JSON: {source}")]
    Encode {
        /// The document's name.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }

    /// A stable word for logs, metrics and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "state_locked",
            Self::Newer { .. } => "state_newer",
            Self::Name { .. } => "state_name",
            Self::NotAFile { .. } => "state_not_a_file",
            Self::TooLarge { .. } => "state_too_large",
            Self::Encode { .. } => "state_encode",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "state_disk_full",
                io::ErrorKind::ReadOnlyFilesystem => "state_read_only",
                io::ErrorKind::PermissionDenied => "state_permission",
                _ => "state_io",
            },
        }
    }

    /// Whether the same may succeed later without anyone changing the request.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// Why the system refused, and what to do about it.
fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free some space".into(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up: raise it or free space".into(),
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: mount it writable, or choose another place with \
             --state-dir"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied: vand's user must own the state directory (0700) and what is in it"
                .into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let told = |errno: Errno| {
            let error = StoreError::io("write", Path::new("/s/peers.json"))(errno.into());
            (error.code(), error.to_string())
        };
        let full = "write /s/peers.json failed: the disk is full: free some space";
        assert_eq!(told(Errno::ENOSPC), ("state_disk_full", full.into()));
        assert_eq!(told(Errno::EROFS).0, "state_read_only");
        assert!(told(Errno::EROFS).1.contains("--state-dir"));
        assert_eq!(told(Errno::EACCES).0, "state_permission");
        assert_eq!(told(Errno::EDQUOT).0, "state_disk_full");
        assert_eq!(told(Errno::EIO).0, "state_io");
    }
}
