//! What a site changes on its Linux host, outside its own process.
//!
//! [`Subnet`] makes a whole network's addresses this host's own. [`Registration`] is what the
//! daemon wants of the host's name services; since it has no rights for that, it writes it down
//! and a helper with root's rights carries it out with [`Registration::apply`].
//!
//! Invariants: everything here can be taken back; without rights the site goes on without.

mod mark;
mod registration;
mod subnet;

pub use registration::{Applied, Places, Registration, RegistrationError};
pub use subnet::{Subnet, SubnetError};
