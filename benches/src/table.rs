//! Tables, for a terminal and as Markdown.

use std::fmt::Write as _;

/// A table with a title.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What stands above it.
    pub title: String,
    /// The columns' headings; the first column is text, the others are numbers.
    pub headings: Vec<String>,
    /// The rows, as wide as the headings.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Makes an empty table.
    pub fn new(title: impl Into<String>, headings: &[&str]) -> Self {
        let headings = headings.iter().map(|&heading| heading.to_owned()).collect();
        Self { title: title.into(), headings, rows: Vec::new() }
    }

    /// Renders it with columns of one width, two spaces between.
    pub fn text(&self) -> String {
        let mut widths: Vec<usize> = self.headings.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = format!("{}\n", self.title);
        for row in std::iter::once(&self.headings).chain(&self.rows) {
            let mut line = String::new();
            for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                let cell = if at == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
                line.push_str(&cell);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Renders it as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.title);
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        text.push_str(&line(&self.headings));
        let numbers = self.headings.len().saturating_sub(1);
        let _ = writeln!(text, "|---|{}", "--:|".repeat(numbers));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_both_ways() {
        let mut table = Table::new("speed", &["PEER", "ONE"]);
        table.rows.push(vec!["direct".into(), "12.5".into()]);
        table.rows.push(vec!["a|b".into(), "-".into()]);
        assert_eq!(table.text(), "speed\nPEER     ONE\ndirect  12.5\na|b        -\n");
        let markdown = table.markdown();
        assert!(markdown.contains("|---|--:|\n| direct | 12.5 |\n| a\\|b | - |\n"), "{markdown}");
    }
}
