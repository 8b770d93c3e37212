//! What is read: files as bytes, and where in them a byte stands.

use crate::mistake::{Mistake, Place, Problem};

/// The most bytes that one configuration file may have: 1 MiB.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// One configuration file as its reader found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path as mistakes show it; relative paths inside are relative to its folder.
    pub path: String,
    /// The content, not checked in any way.
    pub bytes: Vec<u8>,
}

/// Everything from which a configuration is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    /// `vand.toml` first, then `conf.d/*.toml` in name order; later ones win.
    pub files: Vec<File>,
    /// The environment; only names of the form `VAND_SECTION__KEY` are read.
    pub env: Vec<(String, String)>,
    /// The host's name, from which the site's default name is made.
    pub host_name: String,
}

impl File {
    /// The content as text without a byte order mark, or why it is none.
    pub(crate) fn text(&self) -> Result<&str, Mistake> {
        if self.bytes.len() > MAX_FILE_BYTES {
            let what = "configuration is larger than 1 MiB";
            let problem = Problem::new(what, "split it into files in conf.d");
            return Err(Mistake::new(self.place(1, 1), "", problem));
        }
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(error) => Err(self.not_text(error.valid_up_to())),
        }
    }

    fn not_text(&self, offset: usize) -> Mistake {
        let good = std::str::from_utf8(&self.bytes[..offset]).unwrap_or_default();
        let good = good.strip_prefix('\u{feff}').unwrap_or(good);
        let (line, column) = Lines::new(good).position(good.len());
        let byte = self.bytes[offset];
        let what = format!("byte 0x{byte:02x} at offset {offset} is not UTF-8");
        let problem = Problem::new(what, "save the file as UTF-8");
        Mistake::new(self.place(line, column), "", problem)
    }

    fn place(&self, line: usize, column: usize) -> Place {
        Place::File { path: self.path.clone(), line, column }
    }
}

/// Where the lines of a text start, and how many characters stand before each block of it.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    blocks: Vec<usize>,
}

/// Bytes of a block: with a count for each, a column costs the same anywhere in a long line.
const BLOCK: usize = 1024;

fn characters(bytes: &[u8]) -> usize {
    // Every byte but those that continue a character (10xxxxxx).
    bytes.iter().filter(|b| **b & 0xc0 != 0x80).count()
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
            .collect();
        let mut blocks = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            blocks.push(blocks[blocks.len() - 1] + characters(block));
        }
        Self { text, starts, blocks }
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        (line, self.characters_before(offset) - self.characters_before(start) + 1)
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        self.blocks[block] + characters(&self.text.as_bytes()[block * BLOCK..offset])
    }

    /// The lines that a broken one spoils: itself, and behind a header the keys under it.
    pub(crate) fn spoilt(&self, line: usize) -> std::ops::RangeInclusive<usize> {
        let is_header = |line: usize| {
            self.starts
                .get(line - 1)
                .is_some_and(|at| self.text[*at..].trim_start_matches([' ', '\t']).starts_with('['))
        };
        let mut last = line;
        if is_header(line) {
            while last < self.starts.len() && !is_header(last + 1) {
                last += 1;
            }
        }
        line..=last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        File { path: "vand.toml".into(), bytes: bytes.into() }
    }

    #[test]
    fn positions_count_characters() {
        let lines = Lines::new("a = \"é\" # x\r\nb\n");
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(8), (1, 8));
        assert_eq!(lines.position(14), (2, 1));
        assert_eq!(lines.position(999), (3, 1));
        let long = "é".repeat(3000);
        let lines = Lines::new(&long);
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(2048), (1, 1025));
        assert_eq!(lines.position(6000), (1, 3001));
    }

    #[test]
    fn a_broken_header_spoils_its_keys() {
        let lines = Lines::new("[site\nname = 3\n\n[log]\nlevel = 1\n");
        assert_eq!(lines.spoilt(1), 1..=3);
        assert_eq!(lines.spoilt(2), 2..=2);
        assert_eq!(lines.spoilt(4), 4..=6);
    }

    #[test]
    fn only_text_of_a_bearable_size_is_read() {
        assert_eq!(file(b"\xef\xbb\xbf[site]").text(), Ok("[site]"));
        assert_eq!(
            file(b"[site]\nname = \"\xff\"\n").text().unwrap_err().to_string(),
            "vand.toml:2:9: byte 0xff at offset 15 is not UTF-8; save the file as UTF-8"
        );
        assert!(file(&vec![b'#'; MAX_FILE_BYTES]).text().is_ok());
        assert_eq!(
            file(&vec![b'#'; 10 << 20]).text().unwrap_err().to_string(),
            "vand.toml:1:1: configuration is larger than 1 MiB; split it into files in conf.d"
        );
    }
}
