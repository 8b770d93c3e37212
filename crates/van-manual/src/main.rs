//! Writes the manual pages into a folder: `van-manual FOLDER`.

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Error> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "name a folder"))?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let is_page = path
            .extension()
            .is_some_and(|e| e.len() == 1 && e.as_encoded_bytes()[0].is_ascii_digit());
        if is_page {
            fs::remove_file(path)?;
        }
    }
    // The messages of the journal stand beside the pages, from the same source.
    fs::write(folder.join("vand.catalog"), van_model::catalogue())?;
    for page in van_manual::pages() {
        fs::write(folder.join(page.file), page.text)?;
    }
    Ok(())
}
