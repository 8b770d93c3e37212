//! Where files are, for the system's daemon and for a user's own.

use std::env;
use std::path::PathBuf;

/// The first folder of a systemd directory variable, which may list several.
fn systemd_directory(variable: &str) -> Option<PathBuf> {
    let value = env::var_os(variable)?;
    env::split_paths(&value).next().filter(|path| path.is_absolute())
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn home(below: &str) -> PathBuf {
    let home = env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    home.join(below)
}

fn xdg(variable: &str, below_home: &str) -> PathBuf {
    let given = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.unwrap_or_else(|| home(below_home)).join("vand")
}

/// The configuration file where none is named.
pub(crate) fn config_file() -> PathBuf {
    let folder = systemd_directory("CONFIGURATION_DIRECTORY").unwrap_or_else(|| {
        if is_root() { "/etc/vand".into() } else { xdg("XDG_CONFIG_HOME", ".config") }
    });
    folder.join("vand.toml")
}

/// The state directory where none is named.
pub(crate) fn state_dir() -> PathBuf {
    systemd_directory("STATE_DIRECTORY").unwrap_or_else(|| {
        if is_root() { "/var/lib/vand".into() } else { xdg("XDG_STATE_HOME", ".local/state") }
    })
}

/// The runtime directory where none is named.
pub(crate) fn runtime_dir() -> PathBuf {
    systemd_directory("RUNTIME_DIRECTORY").unwrap_or_else(|| {
        if is_root() { "/run/vand".into() } else { xdg("XDG_RUNTIME_DIR", ".cache") }
    })
}

/// The API socket of the podman whose containers are this daemon's.
pub(crate) fn podman() -> PathBuf {
    let own = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let run = own.filter(|_| !is_root()).unwrap_or_else(|| "/run".into());
    run.join("podman/podman.sock")
}

/// The host's name.
pub(crate) fn host_name() -> String {
    nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
