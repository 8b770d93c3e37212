//! Where the requests in a client's bytes of HTTP/1 begin and end, read as strictly as RFC 9110 and
//! RFC 9112 allow a server to.
//!
//! [`Framing`] follows bytes as they come, however they are cut, and says how many may be passed on to a
//! parser. What it refuses is what another reader could take for something else: two lengths, a folded
//! field, a line that ends with LF alone.
//!
//! Invariants: the verdict on bytes does not depend on how they are cut; of a head that is refused, the
//! end is never passed on; what is kept is one head, or one line, within its bound.

mod framing;
mod head;
mod refusal;

pub use framing::{Fed, Framing, Phase};
pub use refusal::Refusal;
