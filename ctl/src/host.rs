//! A site of this host as `vanctl init` makes it and `vanctl delete` takes it away: its
//! configuration, its service, its state.
//!
//! `place` says where all that is, `draft` edits the configuration's text, `file` checks and replaces
//! it, `service` asks systemd, `remains` is what a site leaves behind.
//!
//! Invariant: nothing is read or written here for any other command.

mod draft;
mod file;
mod place;
mod remains;
mod service;

pub(crate) use draft::{Draft, Wanted};
pub(crate) use file::ConfigFile;
pub(crate) use place::Place;
pub(crate) use remains::Remains;
pub(crate) use service::{Found, Service, Step};
