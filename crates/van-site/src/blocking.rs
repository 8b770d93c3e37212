//! Work that waits for a disk or a name service, without holding up the control runtime.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs work that may wait for long; the runtime's other tasks go on in another thread meanwhile.
///
/// Locks that are held over such work must be taken within it, and be no lock that a reader takes.
pub(crate) fn blocking<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A thread of no runtime, or of one that has no other.
        _ => work(),
    }
}
