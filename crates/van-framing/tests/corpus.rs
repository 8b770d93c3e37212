//! Replays the fuzzer's corpus, so that what it once found stays mended.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/bodies/framing.rs"]
mod framing;

#[test]
fn of_framing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/framing");
    let files = fs::read_dir(&folder).expect("the target has a corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        framing::run(&fs::read(&path).expect("a readable file"));
    }
}
