//! Files that could not be used and were kept under another name.

use std::fmt;
use std::path::PathBuf;

/// A torn or corrupt file that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The document's name.
    pub name: String,
    /// Where the file is now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
    /// Whether a second copy took its place, so that nothing is lost.
    pub repaired: bool,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "the state {:?} was unusable ({}) and is kept as {path}", self.name, self.why)?;
        if self.repaired {
            f.write_str("; its second copy is used instead")?;
        }
        Ok(())
    }
}
