//! How new a record is.

/// The highest epoch that a record may have; [`u32::MAX`] is refused, so that there is always one
/// to go on at.
pub const MAX_EPOCH: u32 = u32::MAX - 1;

/// The order of one router's records: by epoch, then counter.
///
/// Two records of one (epoch, counter) exist where a router lost its epoch, or runs twice. The tie
/// is broken by a checksum of the bytes, so that all routers keep the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) epoch: u32,
    pub(crate) counter: u32,
    pub(crate) tie: u32,
}

impl Version {
    /// The version of a record whose signed bytes are `bytes`.
    pub(crate) fn of((epoch, counter): (u32, u32), bytes: &[u8]) -> Self {
        Self { epoch, counter, tie: checksum(bytes) }
    }
}

/// FNV-1a, 32 bits.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
