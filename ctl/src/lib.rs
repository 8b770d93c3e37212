//! The client of vand, as the program `vanctl` runs it.
//!
//! `cli` reads the command line, `command` holds one file for each command, `client` asks the
//! daemon (`transport` reaches it as the `url` says), `output` and `table` print, `wait` waits,
//! `names` answers shells that complete a line; `host` makes a site of this host and takes it away;
//! `kube` does so in a cluster, writes objects and reaches the daemon in a pod.
//!
//! Invariant: it holds no state, and but for `init` and `delete` reads none of the daemon's files.

mod cli;
mod client;
mod command;
mod error;
mod host;
mod kube;
mod names;
mod output;
mod table;
mod transport;
mod url;
mod wait;

pub use cli::{definition, run};
