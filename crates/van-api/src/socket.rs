//! The Unix socket: where it is bound, and with which rights.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown,
};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::{Group, geteuid};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::credentials::Policy;

/// Connections that wait to be accepted; more are refused by the kernel.
const BACKLOG: i32 = 128;

/// Why the API's socket can't be bound.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Something that is no socket is in the way.
    #[error(
        "can't bind the API socket {path}: there is {what}: remove it or set another [api] socket"
    )]
    InTheWay {
        /// The socket's path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// Another daemon has it.
    #[error(
        "can't bind the API socket {path}: another daemon answers there: stop it or set another [api] socket"
    )]
    InUse {
        /// The socket's path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("can't bind the API socket {path}: {doing} failed: {source}")]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// A bound API socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct ApiSocket {
    path: PathBuf,
    listener: UnixListener,
    policy: Policy,
    /// Of a socket that was bound here.
    own: Option<Own>,
}

/// What comes with having bound a socket.
#[derive(Debug)]
struct Own {
    /// Device and inode of the socket's file: only that one is removed at the end.
    file: (u64, u64),
    /// Locked for as long as the socket is bound, so that two daemons can't both replace it.
    _lock: File,
}

impl ApiSocket {
    /// Binds the socket at `path`, mode 0660 with the group `group`.
    ///
    /// The parent directory is made (0755) where it is missing. Where the group doesn't exist or
    /// can't be given to the file, this is logged and the mode is 0600. A stale socket is replaced
    /// only when nobody answers on it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Something else at the path, another daemon on it, or a refusal by the system.
    pub fn bind(path: &Path, group: &str) -> Result<Self, SocketError> {
        let fail = |doing| move |source| SocketError::Io { path: path.into(), doing, source };
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(fail("making its directory"))?;
        let lock = take_lock(path)?;
        clear_stale(path)?;

        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(fail("socket"))?;
        let address = SockAddr::unix(path).map_err(fail("reading the path"))?;
        socket.bind(&address).map_err(fail("bind"))?;
        // Nobody can connect before `listen`, so the rights are in place before the first peer.
        let gid = give_rights(path, group).map_err(fail("setting its rights"))?;
        socket.listen(BACKLOG).map_err(fail("listen"))?;
        socket.set_nonblocking(true).map_err(fail("making it non-blocking"))?;
        let meta = fs::symlink_metadata(path).map_err(fail("reading it back"))?;
        let listener = UnixListener::from_std(socket.into()).map_err(fail("registering it"))?;
        Ok(Self {
            path: path.into(),
            listener,
            policy: Policy { own_uid: geteuid().as_raw(), group: gid, group_name: group.into() },
            own: Some(Own { file: (meta.dev(), meta.ino()), _lock: lock }),
        })
    }

    /// Takes over a socket that listens already, with the rights that its maker gave it; only who
    /// may write is decided here. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// It is no socket that can be registered.
    pub fn adopt(socket: StdUnixListener, group: &str) -> Result<Self, SocketError> {
        let path = socket.local_addr().ok().and_then(|a| a.as_pathname().map(Path::to_path_buf));
        let path = path.unwrap_or_default();
        let fail = |source| SocketError::Io { path: path.clone(), doing: "taking it over", source };
        socket.set_nonblocking(true).map_err(fail)?;
        let listener = UnixListener::from_std(socket).map_err(fail)?;
        let gid = Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
        let policy = Policy { own_uid: geteuid().as_raw(), group: gid, group_name: group.into() };
        Ok(Self { path, listener, policy, own: None })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who may write.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Replaces who may write.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Connections that nobody accepted yet and that would end with the socket. Those of a socket that
    /// was taken over wait for whoever has it next.
    pub(crate) fn waiting(&self) -> Vec<UnixStream> {
        if self.own.is_none() {
            return Vec::new();
        }
        let listener = SockRef::from(&self.listener);
        let accept = || {
            let (socket, _) = listener.accept().ok()?;
            socket.set_nonblocking(true).ok()?;
            UnixStream::from_std(socket.into()).ok()
        };
        std::iter::from_fn(accept).take(BACKLOG as usize + 1).collect()
    }
}

impl Drop for ApiSocket {
    fn drop(&mut self) {
        let Some(own) = &self.own else { return };
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == own.file);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "can't remove the API socket");
        }
    }
}

/// Locks `PATH.lock` beside the socket. The file stays: removing it would let two daemons lock
/// two files of one name.
fn take_lock(path: &Path) -> Result<File, SocketError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let fail = |source| SocketError::Io { path: path.into(), doing: "locking it", source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(&name)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SocketError::InUse { path: path.into() }),
        Err(fs::TryLockError::Error(source)) => Err(fail(source)),
    }
}

/// Removes a socket on which nobody answers.
fn clear_stale(path: &Path) -> Result<(), SocketError> {
    let fail = |doing| move |source| SocketError::Io { path: path.into(), doing, source };
    let kind = match fs::symlink_metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail("looking at what is there")(error)),
    };
    let in_the_way = |what| Err(SocketError::InTheWay { path: path.into(), what });
    if kind.is_symlink() {
        return in_the_way("a symbolic link");
    }
    if !kind.is_socket() {
        return in_the_way("a file that is no socket");
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fail("removing the stale socket"))
        }
        Err(error) => Err(fail("asking the socket that is there")(error)),
    }
}

/// Gives the socket to the group, or to nobody else where that can't be; returns the group.
fn give_rights(path: &Path, group: &str) -> io::Result<Option<u32>> {
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let known = Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
    let Some(gid) = known else {
        tracing::warn!(group, "the API socket's group doesn't exist: only this user may use it");
        return Ok(None);
    };
    if let Err(error) = chown(path, None, Some(gid)) {
        tracing::warn!(group, %error, "can't give the API socket to its group: only this user may use it");
        return Ok(None);
    }
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    Ok(Some(gid))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NO_GROUP: &str = "no-such-group-here";

    #[tokio::test]
    async fn makes_its_directory_and_cleans_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/vand/vand.sock");
        let socket = ApiSocket::bind(&path, NO_GROUP).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(socket.policy().group, None);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_of_the_service_manager_is_used_and_left_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vand.sock");
        let theirs = StdUnixListener::bind(&path).unwrap();
        let socket = ApiSocket::adopt(theirs.try_clone().unwrap(), NO_GROUP).unwrap();
        assert_eq!(socket.path(), path);
        drop(socket);
        StdUnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn own_group_gets_0660() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vand.sock");
        let gid = nix::unistd::getegid();
        let Some(group) = Group::from_gid(gid).unwrap() else { return };
        let socket = ApiSocket::bind(&path, &group.name).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.gid()), (0o660, gid.as_raw()));
        assert_eq!(socket.policy().group, Some(gid.as_raw()));
    }

    #[tokio::test]
    async fn refuses_links_files_and_other_daemons() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link.sock");
        symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(matches!(ApiSocket::bind(&link, NO_GROUP), Err(SocketError::InTheWay { .. })));
        let file = dir.path().join("file.sock");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(ApiSocket::bind(&file, NO_GROUP), Err(SocketError::InTheWay { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        let path = dir.path().join("vand.sock");
        let _first = ApiSocket::bind(&path, NO_GROUP).unwrap();
        let second = ApiSocket::bind(&path, NO_GROUP).unwrap_err();
        assert!(second.to_string().contains("another daemon answers there"), "{second}");
    }

    #[tokio::test]
    async fn answering_sockets_stay_and_stale_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vand.sock");
        let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(ApiSocket::bind(&path, NO_GROUP), Err(SocketError::InUse { .. })));
        drop(other);
        assert!(path.exists());
        ApiSocket::bind(&path, NO_GROUP).unwrap();
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(120));
        assert!(matches!(ApiSocket::bind(&path, NO_GROUP), Err(SocketError::Io { .. })));
    }
}
