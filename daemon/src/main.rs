//! vand
fn main() {}
