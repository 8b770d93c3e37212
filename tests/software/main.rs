//! Real software through real daemons: servers at one site, their own clients at another, two hops
//! away. It needs root, and what `make test` installs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bulk;
mod calls;
mod datagrams;
mod far;
mod mqtt;
mod multiplexed;
mod postgres;
mod redis;
mod smuggling;
mod sockets;
mod stacks;
mod web;

/// Bytes that no compression helps with and that are the same each time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
