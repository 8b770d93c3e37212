//! Replays the fuzzers' corpora, so that what they once found stays mended.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/bodies/frames.rs"]
mod frames;
#[path = "../../../fuzz/bodies/hello.rs"]
mod hello;
#[path = "../../../fuzz/bodies/open.rs"]
mod open;
#[path = "../../../fuzz/bodies/session.rs"]
mod session;

#[allow(dead_code, reason = "the simulation uses more of it")]
#[path = "simulation/end.rs"]
mod end;
#[allow(dead_code, reason = "the simulation uses more of it")]
#[path = "simulation/flow.rs"]
mod flow;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("each target has a corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        let bytes = fs::read(&path).expect("a readable file");
        if let Err(panic) = std::panic::catch_unwind(|| body(&bytes)) {
            let message = format!("{} failed\n", path.display());
            // The harness shows what a failed test wrote to standard error.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn of_frames() {
    replay("frames", frames::run);
}

#[test]
fn of_session() {
    replay("session", session::run);
}

#[test]
fn of_hello() {
    replay("hello", hello::run);
}

#[test]
fn of_open() {
    replay("open", open::run);
}
