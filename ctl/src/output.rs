//! What goes to standard output and standard error.

use std::io::{self, IsTerminal, Write};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Outcome, Problem, one_line};

/// The forms of `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people, with more columns.
    Wide,
    /// The API's own document.
    Json,
    /// The same as YAML.
    Yaml,
    /// `KIND/NAME`, one a line.
    Name,
}

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) color: bool,
}

impl Output {
    pub(crate) fn new(format: Format, quiet: bool, no_color: bool) -> Self {
        let plain = no_color
            || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { format, quiet, color: !plain && io::stdout().is_terminal() }
    }

    /// Whether more columns are wanted.
    pub(crate) fn wide(self) -> bool {
        self.format == Format::Wide
    }

    /// Whether tables and sentences are wanted rather than documents.
    pub(crate) fn for_people(self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints text as it is.
    pub(crate) fn text(self, text: &str) -> Outcome {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Says what was done, where sentences are wanted.
    pub(crate) fn said(self, line: &str) -> Outcome {
        match self.for_people() && !self.quiet {
            true => self.text(&format!("{line}\n")),
            false => Ok(()),
        }
    }

    /// Says something on standard error, unless it is to be quiet.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            // A closed standard error leaves nobody to tell.
            let _unheard = writeln!(io::stderr(), "{}", one_line(text));
        }
    }

    /// Prints a document as JSON or YAML.
    pub(crate) fn document(self, document: &Value) -> Outcome {
        self.text(&self.written(document)?)
    }

    /// Prints one document of a stream: JSON on one line, YAML behind a line of its own.
    pub(crate) fn streamed(self, document: &Value) -> Outcome {
        if self.format == Format::Yaml {
            return self.text(&format!("---\n{}", self.written(document)?));
        }
        let text = serde_json::to_string(document)
            .map_err(|error| Problem::failed(format!("can't write JSON: {error}")))?;
        self.text(&(text + "\n"))
    }

    /// A document in the wanted form.
    pub(crate) fn written(self, document: &Value) -> Outcome<String> {
        if self.format == Format::Yaml {
            return yaml(document);
        }
        serde_json::to_string_pretty(document)
            .map(|text| text + "\n")
            .map_err(|error| Problem::failed(format!("can't write JSON: {error}")))
    }

    /// Prints resources, one or a list: the table is made only where one is wanted.
    pub(crate) fn resources<T: DeserializeOwned>(
        self,
        kind: &str,
        document: Value,
        table: impl FnOnce(&[T]) -> Outcome<String>,
    ) -> Outcome {
        match self.format {
            Format::Json | Format::Yaml => self.document(&document),
            Format::Name => self.names(&format!("{kind}/"), &document),
            Format::Table | Format::Wide if self.quiet => self.names("", &document),
            Format::Table | Format::Wide => {
                let items: Vec<T> = items(document)
                    .into_iter()
                    .map(crate::client::understood)
                    .collect::<Outcome<_>>()?;
                self.text(&table(&items)?)
            }
        }
    }

    /// Says that something was done to a resource, or prints it.
    pub(crate) fn done(self, kind: &str, name: &str, what: &str, document: &Value) -> Outcome {
        match self.format {
            Format::Json | Format::Yaml => self.document(document),
            Format::Name => self.text(&format!("{kind}/{name}\n")),
            Format::Table | Format::Wide if self.quiet => Ok(()),
            Format::Table | Format::Wide => self.text(&format!("{kind}/{name} {what}\n")),
        }
    }

    /// Says that a resource is gone; there is no document to print.
    pub(crate) fn gone(self, kind: &str, name: &str, what: &str) -> Outcome {
        match self.format {
            Format::Name => self.text(&format!("{kind}/{name}\n")),
            Format::Table | Format::Wide if !self.quiet => {
                self.text(&format!("{kind}/{name} {what}\n"))
            }
            _ => Ok(()),
        }
    }

    fn names(self, prefix: &str, document: &Value) -> Outcome {
        let mut text = String::new();
        for item in items(document.clone()) {
            let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
            text.push_str(&format!("{prefix}{}\n", one_line(name)));
        }
        self.text(&text)
    }
}

/// The items of a list, or the one resource.
fn items(document: Value) -> Vec<Value> {
    match document {
        Value::Object(mut object) if object.get("items").is_some_and(Value::is_array) => {
            match object.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}

fn yaml(document: &Value) -> Outcome<String> {
    serde_saphyr::to_string(document)
        .map(|text| if text.ends_with('\n') { text } else { text + "\n" })
        .map_err(|error| Problem::failed(format!("can't write YAML: {error}")))
}

/// A number of bytes as people read it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A moment, to the second, RFC 3339 in UTC.
pub(crate) fn moment(time: jiff::Timestamp) -> String {
    time.round(jiff::Unit::Second).unwrap_or(time).to_string()
}

/// A time in milliseconds.
pub(crate) fn millis(value: Option<f64>) -> String {
    value.map(|ms| format!("{ms:.2} ms")).unwrap_or_default()
}

/// A length of time as people read it, in its two largest units.
pub(crate) fn span(time: jiff::SignedDuration) -> String {
    let (ms, s) = (time.as_millis().max(0), time.as_secs().max(0));
    match s {
        0 => format!("{ms}ms"),
        1..60 => format!("{s}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{}h", s / 86_400, s / 3600 % 24),
    }
}

/// A value without JSON's quotes where it is a text.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_single_resources() {
        assert_eq!(items(serde_json::json!({"items": [1, 2]})).len(), 2);
        assert_eq!(items(serde_json::json!({"name": "x"})).len(), 1);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(millis(Some(0.3124)), "0.31 ms");
        assert_eq!(millis(None), "");
        for (ms, text) in [
            (-5, "0ms"),
            (999, "999ms"),
            (1540, "1.5s"),
            (61_000, "1m1s"),
            (3_720_000, "1h2m"),
            (90_000_000, "1d1h"),
        ] {
            assert_eq!(span(jiff::SignedDuration::from_millis(ms)), text);
        }
        assert_eq!(
            moment(jiff::Timestamp::from_millisecond(1500).unwrap()),
            "1970-01-01T00:00:02Z"
        );
    }

    #[test]
    fn yaml_reads_back() {
        let document =
            serde_json::json!({"items": [{"name": "no", "spec": {"port": 1, "x": null}}]});
        let text = yaml(&document).unwrap();
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, document, "{text}");
    }
}
