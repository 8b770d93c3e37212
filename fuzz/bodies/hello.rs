//! HELLO: what is taken is valid, and goes out as it came in.

use van_mux::Hello;

pub(crate) fn run(data: &[u8]) {
    let Ok(hello) = Hello::decode(data) else { return };
    assert!(!hello.name.is_empty() && hello.cost > 0 && hello.capabilities.len() <= 64);
    assert_eq!(Hello::decode(&hello.encode()).as_ref(), Ok(&hello));
    let _ = hello.common_version(&hello);
}
