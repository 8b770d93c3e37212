#![no_main]

#[path = "../bodies/session.rs"]
mod body;
#[allow(dead_code, reason = "the simulation uses more of it")]
#[path = "../../crates/van-mux/tests/simulation/end.rs"]
mod end;
#[allow(dead_code, reason = "the simulation uses more of it")]
#[path = "../../crates/van-mux/tests/simulation/flow.rs"]
mod flow;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
