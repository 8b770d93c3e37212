//! OPEN and ACCEPT: what is taken goes out as it came in.

use van_mux::{Accept, MAX_OPEN, Open};

pub(crate) fn run(data: &[u8]) {
    if let Ok(open) = Open::decode(data) {
        let mut wire = Vec::new();
        open.encode(&mut wire);
        assert!(wire.len() <= data.len() && wire.len() <= MAX_OPEN);
        assert_eq!(Open::decode(&wire).as_ref(), Ok(&open));
    }
    if let Ok(accept) = Accept::decode(data) {
        let mut wire = Vec::new();
        accept.encode(&mut wire);
        assert_eq!(wire, data);
    }
}
