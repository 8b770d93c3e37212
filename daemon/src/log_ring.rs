//! The last lines of the log, kept for a report.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept.
const LINES: usize = 2000;

/// Bytes that are kept.
const BYTES: usize = 512 * 1024;

/// The last lines; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ring(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Box<str>>,
    bytes: usize,
}

impl Ring {
    /// All of them, oldest first.
    pub(crate) fn text(&self) -> String {
        self.0.lock().lines.iter().map(|line| &**line).collect()
    }
}

/// Takes one line of the log.
pub(crate) struct Line<'a>(&'a Ring);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.0.lock();
        let line: Box<str> = String::from_utf8_lossy(bytes).into();
        kept.bytes += line.len();
        kept.lines.push_back(line);
        while kept.lines.len() > LINES || kept.bytes > BYTES {
            let Some(gone) = kept.lines.pop_front() else { break };
            kept.bytes -= gone.len();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Ring {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_their_bounds() {
        let ring = Ring::default();
        for n in 0..LINES + 5 {
            ring.make_writer().write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        assert!(ring.text().starts_with("line 5\n") && ring.text().ends_with("line 2004\n"));
        for _ in 0..10 {
            ring.make_writer().write_all(&vec![b'x'; BYTES / 4]).unwrap();
        }
        assert!(ring.text().len() <= BYTES);
    }
}
