//! Bytes of an HTTP client: however they are cut, they mean the same.

use van_framing::{Framing, Refusal};

/// What becomes of the bytes, given in pieces of these sizes in turn.
fn read(bytes: &[u8], sizes: &[usize]) -> (usize, Option<Refusal>, bool) {
    let mut framing = Framing::default();
    let (mut at, mut passed) = (0, 0);
    for size in sizes.iter().cycle() {
        let piece = &bytes[at..bytes.len().min(at + size)];
        if piece.is_empty() || framing.is_held() {
            break;
        }
        let fed = framing.feed(piece);
        assert!(fed.passed <= piece.len());
        assert_eq!(fed.refusal.is_some(), framing.is_refused());
        assert!(fed.refusal.is_some() || fed.passed == piece.len());
        at += piece.len();
        passed += fed.passed;
        if fed.refusal.is_some() {
            return (passed, fed.refusal, framing.is_held());
        }
    }
    (passed, None, framing.is_held())
}

pub(crate) fn run(bytes: &[u8]) {
    let one_by_one = read(bytes, &[1]);
    for sizes in [&[3, 1, 64][..], &[7], &[4096]] {
        let other = read(bytes, sizes);
        // Where another protocol may begin, bytes that come with the request are refused, and later
        // ones are not looked at.
        if other.1 == Some(Refusal::EarlyBytes) || one_by_one.2 {
            continue;
        }
        assert_eq!(other.1, one_by_one.1);
        assert!(other.0 <= one_by_one.0, "less is passed on where more is known");
    }
}
