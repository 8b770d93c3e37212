//! What a site is given by the process around it.

use std::path::PathBuf;
use std::sync::Arc;

use van_config::Loaded;
use van_net::{Handed, Proxy, Tasks, Workers};
use van_store::Store;

/// Reads the configuration anew.
pub type Reload = Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// Changes what is logged; the error is a sentence.
pub type SetLog = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// What the process around the site gives it.
pub struct Environment {
    /// The software's version.
    pub version: String,
    /// The namespace of the cluster in which it runs; `None`: it runs on a host.
    pub namespace: Option<String>,
    /// Which of the site's routers this is, where it may run several; `None`: it is the only one.
    pub replica: Option<u16>,
    /// Whether peers forget this site a day after its last link.
    pub ephemeral: bool,
    /// Names the site after its id: this, `-`, and 6 characters of the id.
    pub name_prefix: Option<String>,
    /// Where the daemon's sockets and its word to the host's name services are; `None`: nothing of
    /// the host is changed and no names are answered.
    pub runtime_dir: Option<PathBuf>,
    /// Sockets that the service manager opened.
    pub handed: Handed,
    /// The API socket of the podman that is asked where the configuration names none.
    pub podman: PathBuf,
    /// The folder of the service manager's credentials.
    pub credentials: Option<PathBuf>,
    /// The way out that the environment variables name.
    pub proxy: Option<Proxy>,
    /// Reads the configuration anew; `None`: there is none to read.
    pub reload: Option<Reload>,
    /// The last lines of the log.
    pub recent_log: Box<dyn Fn() -> String + Send + Sync>,
    /// Changes what is logged.
    pub set_log: SetLog,
}

/// What a site starts with.
pub struct Start {
    /// The wanted state.
    pub loaded: Loaded,
    /// The state directory.
    pub store: Store,
    /// The data plane.
    pub workers: Arc<Workers>,
    /// The control runtime.
    pub tasks: Tasks,
    /// The process around it.
    pub environment: Environment,
}
