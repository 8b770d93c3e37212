//! Where a site's files are: the host's own, or a user's.

use std::env;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::{geteuid, getuid};

use crate::error::{Exit, Outcome, Problem};
use crate::url::{SYSTEM_SOCKET, Url};

/// Where a site's files are, as the daemon looks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Whether it is a user's own site.
    pub(crate) own: bool,
    /// The configuration's folder.
    pub(crate) config: PathBuf,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// The API's socket.
    pub(crate) socket: PathBuf,
}

impl Place {
    /// The site that is meant: the one whose socket was chosen, else root's or the user's own.
    ///
    /// # Errors
    /// Where the site is not one of this host's two.
    pub(crate) fn of(url: &Url, chosen: bool, what: &str) -> Outcome<Self> {
        let own = Self::own(|name| env::var_os(name).map(PathBuf::from));
        match url {
            Url::Ssh { destination, .. } => {
                Err(Problem::usage(format!("'vanctl {what}' is for the host that it runs on"))
                    .hint(format!("try: ssh -t {destination} sudo vanctl {what}")))
            }
            Url::Kube(_) => Err(Problem::usage(format!("'vanctl {what}' is for a host here"))),
            Url::Unix(path) if chosen => match path {
                path if path == Path::new(SYSTEM_SOCKET) => Ok(Self::system()),
                path if *path == own.socket => Ok(own),
                path => Err(Problem::usage(format!(
                    "no site of this host has its socket at {}",
                    path.display()
                ))
                .hint(format!(
                    "accepted: unix://{SYSTEM_SOCKET}, unix://{}",
                    own.socket.display()
                ))),
            },
            Url::Unix(_) if geteuid().is_root() => Ok(Self::system()),
            Url::Unix(_) => Ok(own),
        }
    }

    /// The host's site.
    fn system() -> Self {
        Self {
            own: false,
            config: "/etc/vand".into(),
            state: "/var/lib/vand".into(),
            socket: SYSTEM_SOCKET.into(),
        }
    }

    /// The caller's own site.
    fn own(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let home = variable("HOME").unwrap_or_else(|| "/".into());
        let folder = |name: &str, below: &str| {
            let given = variable(name).filter(|path| path.is_absolute());
            given.unwrap_or_else(|| home.join(below)).join("vand")
        };
        Self {
            own: true,
            config: folder("XDG_CONFIG_HOME", ".config"),
            state: folder("XDG_STATE_HOME", ".local/state"),
            socket: match variable("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()) {
                Some(dir) => dir.join("vand/vand.sock"),
                None => match session_dir() {
                    Some(dir) => dir.join("vand/vand.sock"),
                    None => home.join(".cache/vand/vand.sock"),
                },
            },
        }
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.config.join("vand.toml")
    }

    /// The site in words.
    pub(crate) fn words(&self) -> &'static str {
        if self.own { "your own site" } else { "the host's site" }
    }

    /// The URL of its daemon.
    pub(crate) fn url(&self) -> Url {
        Url::Unix(self.socket.clone())
    }

    /// How `vanctl` is called for it: without more where it is what is meant anyway.
    pub(crate) fn vanctl(&self) -> String {
        match Url::default_here() == self.url() {
            true => "vanctl".into(),
            false => format!("vanctl --url unix://{}", self.socket.display()),
        }
    }

    /// Whether a daemon, or systemd for it, listens at its socket.
    pub(crate) fn answers(&self) -> bool {
        UnixStream::connect(&self.socket).is_ok()
    }

    /// Refuses who may not change it.
    ///
    /// # Errors
    /// Where root's rights are needed and lacking.
    pub(crate) fn may_change(&self, what: &str) -> Outcome {
        if self.own || geteuid().is_root() {
            return Ok(());
        }
        Err(Problem::new(Exit::NotAllowed, "the host's site is for root to change")
            .hint(format!("sudo vanctl {what}")))
    }
}

/// The folder of a user's session, which a shell got by `su` doesn't name.
pub(crate) fn session_dir() -> Option<PathBuf> {
    let dir = PathBuf::from(format!("/run/user/{}", getuid()));
    dir.is_dir().then_some(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_folders_are_those_of_the_session_or_of_the_home() {
        let full = Place::own(|name| Some(format!("/{name}").into()));
        assert_eq!(full.file(), Path::new("/XDG_CONFIG_HOME/vand/vand.toml"));
        assert_eq!(full.state, Path::new("/XDG_STATE_HOME/vand"));
        assert_eq!(full.socket, Path::new("/XDG_RUNTIME_DIR/vand/vand.sock"));
        let bare = Place::own(|name| (name == "HOME").then(|| "/home/op".into()));
        assert_eq!(bare.config, Path::new("/home/op/.config/vand"));
        assert_eq!(bare.state, Path::new("/home/op/.local/state/vand"));
        let odd = Place::own(|name| Some(if name == "HOME" { "/h" } else { "relative" }.into()));
        assert_eq!(odd.config, Path::new("/h/.config/vand"));
    }

    #[test]
    fn the_socket_that_is_chosen_says_which_site() {
        let of = |url: &str| Place::of(&url.parse().unwrap(), true, "init");
        assert!(!of("unix:///run/vand/vand.sock").unwrap().own);
        let other = of("unix:///run/vand/sites/shop/vand.sock").unwrap_err();
        assert_eq!(other.exit, Exit::Usage);
        assert!(other.hint.unwrap().contains("unix:///run/vand/vand.sock"));
        let far = of("ssh://op@db").unwrap_err();
        assert_eq!(far.exit, Exit::Usage);
        assert_eq!(far.hint.as_deref(), Some("try: ssh -t op@db sudo vanctl init"));
        assert_eq!(of("kube://").unwrap_err().exit, Exit::Usage);
    }
}
