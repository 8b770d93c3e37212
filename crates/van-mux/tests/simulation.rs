//! Two sessions back to back in virtual time, over a network that delays, limits and cuts.
//!
//! Each end's flows have known bytes and check what comes (`flow.rs`); `world.rs` moves the clock.

#![allow(clippy::panic, reason = "a failed step is a failed test")]

#[path = "simulation/end.rs"]
mod end;
#[path = "simulation/flow.rs"]
mod flow;
#[path = "simulation/pipe.rs"]
mod pipe;
#[path = "simulation/rng.rs"]
mod rng;
#[path = "simulation/world.rs"]
mod world;

#[path = "simulation/drain.rs"]
mod drain;
#[path = "simulation/fairness.rs"]
mod fairness;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/windows.rs"]
mod windows;
