//! From texts to a site's wanted state.
//!
//! [`load`] takes the bytes of the configuration files, the environment and the host's name, and
//! gives a [`van_model::Config`] with the [`Origin`] of each value, or every [`Mistake`] at once.
//!
//! ```text
//! files ─ text ─ spanned tree ─ schema ─┐
//!                                       ├─ layers ─ figment ─ checks over all ─ Config + Origins
//! environment ────────────────── schema ─┘            (defaults < vand.toml < conf.d < environment)
//! ```
//!
//! A *layer* holds the checked values of one source, in the form in which the model reads them,
//! and the place of each. The *schema* is the one table of known sections and keys: the walk over
//! the tree, the environment's names, "did you mean" and the accepted values all come from it.
//!
//! Invariant: this crate is pure. It opens no file, reads no process environment and knows no
//! clock; the same input gives the same output to the byte.

mod accept;
mod api;
mod connector;
mod console;
mod env;
mod file;
mod identity;
mod layer;
mod limits;
mod link;
mod listener;
mod load;
mod log;
mod merge;
mod metrics;
mod mistake;
mod origin;
mod podman;
mod route;
mod schema;
mod services;
mod shown;
mod site;
mod text;
mod tls;
mod tracing;
mod tree;
mod value;

pub use file::{File, Input, MAX_FILE_BYTES};
pub use load::{Loaded, load};
pub use log::check_level;
pub use mistake::{Mistake, Mistakes, Place};
pub use origin::{Origin, Origins};
