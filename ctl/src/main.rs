//! vanctl
fn main() {}
