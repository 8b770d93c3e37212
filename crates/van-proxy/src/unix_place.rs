//! The path of a Unix listener.
//!
//! A Unix socket that listens can't stop to; closing it puts a fresh one that does not listen, and
//! hence refuses, in its place.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::listener_error::ListenerError;

/// Tells apart the temporary names of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A socket file that belongs to this process.
#[derive(Debug)]
pub(crate) struct UnixPlace {
    path: PathBuf,
    socket: Socket,
    /// Device and number of the file, to leave alone what others put there.
    file: (u64, u64),
    /// The socket was shut for good, since no fresh one could take its place.
    shut: bool,
}

impl UnixPlace {
    /// Takes a path: free, or with a socket that nobody listens at.
    pub(crate) fn take(path: &Path) -> Result<Self, ListenerError> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ListenerError::NotASocket { path: path.into() });
            }
            Ok(_) => refuses(path).map_err(|error| ListenerError::unix(path, error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ListenerError::unix(path, error)),
        }
        let (socket, file) = place(path, None).map_err(|e| ListenerError::unix(path, e))?;
        Ok(Self { path: path.into(), socket, file, shut: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A socket that can listen.
    pub(crate) fn socket(&mut self) -> io::Result<&Socket> {
        if self.shut {
            self.renew()?;
        }
        Ok(&self.socket)
    }

    /// Refuses clients from now on, also where that fails.
    pub(crate) fn refuse(&mut self) -> io::Result<()> {
        self.renew().inspect_err(|_| {
            // It can't listen again after this; a socket that is gone already need not.
            let _ = self.socket.shutdown(std::net::Shutdown::Read);
            self.shut = true;
        })
    }

    /// Puts a socket that does not listen in the place of the one that did.
    fn renew(&mut self) -> io::Result<()> {
        let old = fs::symlink_metadata(&self.path).ok();
        if let Some(found) = &old
            && identity(found) != self.file
        {
            // Whoever replaced the file has it now; the old socket can't be reached any more.
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        (self.socket, self.file) = place(&self.path, old.as_ref())?;
        self.shut = false;
        Ok(())
    }
}

impl Drop for UnixPlace {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.file);
        if ours {
            // Left behind, it refuses, and the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Checks that nobody listens at a socket's path.
fn refuses(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full backlog must not hold up the start.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Binds a socket under a temporary name and moves it to `path`, with the rights of `old`.
fn place(path: &Path, old: Option<&Metadata>) -> io::Result<(Socket, (u64, u64))> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!(".{:x}.{number:x}", std::process::id());
    let temporary = path.with_file_name(name);
    let name = match SockAddr::unix(&temporary) {
        Ok(address) => {
            socket.bind(&address)?;
            &temporary
        }
        // Too long by a few characters: without the temporary name there is a moment without a file.
        Err(_) => {
            if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
                fs::remove_file(path)?;
            }
            socket.bind(&SockAddr::unix(path)?)?;
            path
        }
    };
    let finish = || {
        if let Some(old) = old {
            fs::set_permissions(name, old.permissions())?;
        }
        let file = identity(&fs::symlink_metadata(name)?);
        if name != path {
            fs::rename(name, path)?;
        }
        Ok(file)
    };
    finish().map(|file| (socket, file)).inspect_err(|_| {
        // What failed is told; the name is taken back as far as that works.
        let _ = fs::remove_file(name);
    })
}
