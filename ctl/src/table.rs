//! Tables: upper-case headings, two spaces between columns, no borders, nothing cut.

use std::fmt::Write;

/// A table that is built row by row.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds columns behind the others; before the first row.
    pub(crate) fn columns(&mut self, headings: &[&'static str]) {
        self.headings.extend_from_slice(headings);
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headings.len());
        self.rows.push(cells.into_iter().map(|cell| shown(&cell)).collect());
    }

    /// The table as text, each line ended.
    pub(crate) fn render(&self, color: bool) -> String {
        let mut widths: Vec<usize> = self.headings.iter().map(|text| width(text)).collect();
        for row in &self.rows {
            for (wide, cell) in widths.iter_mut().zip(row) {
                *wide = (*wide).max(width(cell));
            }
        }
        let mut out = String::new();
        let headings: Vec<String> = self.headings.iter().map(|text| (*text).to_owned()).collect();
        write_row(&mut out, &headings, &widths, |_| color.then_some("1"));
        for row in &self.rows {
            write_row(&mut out, row, &widths, |cell| color.then(|| hue(cell)).flatten());
        }
        out
    }
}

/// Two columns without headings: what and its value.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let wide = rows.iter().map(|(key, _)| width(key)).max().unwrap_or(0);
    let mut out = String::new();
    for (key, value) in rows {
        out.push_str(&format!("{key:wide$}  {}", shown(value)));
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

fn write_row(
    out: &mut String,
    cells: &[String],
    widths: &[usize],
    style: impl Fn(&str) -> Option<&'static str>,
) {
    let last = cells.len().saturating_sub(1);
    for (at, (cell, wide)) in cells.iter().zip(widths).enumerate() {
        match style(cell) {
            Some(code) => out.push_str(&format!("\x1b[{code}m{cell}\x1b[0m")),
            None => out.push_str(cell),
        }
        if at < last {
            let gap = wide.saturating_sub(width(cell)) + 2;
            out.extend(std::iter::repeat_n(' ', gap));
        }
    }
    out.push('\n');
}

/// The colour of the words that say how something is.
pub(crate) fn hue(cell: &str) -> Option<&'static str> {
    match cell {
        "connected" | "ready" | "healthy" | "accepting" | "passed" => Some("32"),
        "connecting" | "warning" | "no target" => Some("33"),
        "error" | "revoked" | "unreachable" | "link lost" => Some("31"),
        _ if cell.starts_with("failed") => Some("31"),
        _ => None,
    }
}

/// A cell's text: something must stand there, so that columns can be counted.
fn shown(text: &str) -> String {
    if text.is_empty() { "-".into() } else { clean(text) }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Makes control characters and changes of direction visible: texts come from other sites too.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            // Writing to a string can't fail.
            let _written = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.columns(&["COST"]);
        table.row(vec!["a".into(), "connected".into(), "1".into()]);
        table.row(vec!["longer-näme".into(), String::new(), "10".into()]);
        assert_eq!(
            table.render(false),
            "NAME         STATUS     COST\na            connected  1\nlonger-näme  -          10\n"
        );
    }

    #[test]
    fn nothing_is_cut_and_empty_tables_have_headings() {
        let mut table = Table::new(&["A", "B"]);
        assert_eq!(table.render(false), "A  B\n");
        let long = "x".repeat(500);
        table.row(vec![long.clone(), "y".into()]);
        assert!(table.render(false).contains(&format!("{long}  y\n")));
    }

    #[test]
    fn colour_only_where_asked_and_outside_the_padding() {
        let mut table = Table::new(&["STATUS", "B"]);
        table.row(vec!["failed: no".into(), "x".into()]);
        assert!(!table.render(false).contains('\x1b'));
        assert!(table.render(true).contains("\x1b[31mfailed: no\x1b[0m  x\n"));
    }

    #[test]
    fn terminals_are_safe() {
        let mut table = Table::new(&["A"]);
        table.row(vec!["\x1b]0;evil\x07\n\u{202e}".into()]);
        assert_eq!(table.render(false), "A\n\\u{1b}]0;evil\\u{7}\\n\\u{202e}\n");
    }

    #[test]
    fn pairs_line_up() {
        let text = pairs(&[("NAME", "x".into()), ("UPTIME", String::new())]);
        assert_eq!(text, "NAME    x\nUPTIME  -\n");
    }
}
