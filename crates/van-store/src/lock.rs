//! One process a state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::error::StoreError;

/// Held until it is dropped or the process ends, however it ends.
pub(crate) struct Lock {
    _file: Flock<File>,
}

const FILE: &str = "lock";
/// More than any process id has.
const PID_TEXT: u64 = 16;

impl Lock {
    /// Takes the directory's lock and writes this process's id into it.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            // The content is the holder's until the lock is ours.
            .truncate(false)
            .mode(0o600)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(&path)
            .map_err(|error| match error.raw_os_error() {
                Some(code) if code == Errno::ELOOP as i32 => {
                    StoreError::NotAFile { path: path.clone() }
                }
                _ => StoreError::io("open the lock", &path)(error),
            })?;
        let told = holder(&mut file);
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(StoreError::Locked { dir: dir.into(), pid: told });
            }
            Err((_, errno)) => return Err(StoreError::io("lock", &path)(errno.into())),
        };
        // Only a help for people: a full disk must not keep the daemon from starting.
        if let Err(error) = tell(&mut file) {
            tracing::warn!(path = %path.display(), %error, "the lock's holder could not be written");
        }
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn tell(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
