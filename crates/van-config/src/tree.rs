//! The walk over one file's spanned tree: everything that is wrong, and what is right as a layer.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::file::{File, Lines};
use crate::layer::{Entry, Layer};
use crate::mistake::{Mistake, Place, Problem};
use crate::schema::{self, Key, Section};
use crate::text::shorten;
use crate::value;

/// Reads one file.
pub(crate) fn read(file: &File, mistakes: &mut Vec<Mistake>) -> Layer {
    let text = match file.text() {
        Ok(text) => text,
        Err(mistake) => {
            mistakes.push(mistake);
            return Layer::of(true);
        }
    };
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut walk = Walk {
        path: &file.path,
        folder: folder(&file.path),
        lines: Lines::new(text),
        layer: Layer::of(!errors.is_empty()),
        mistakes,
        garbled: BTreeSet::new(),
    };
    for error in &errors {
        walk.syntax(text, error);
    }
    walk.root(tree.get_ref());
    walk.layer
}

/// The folder of a path, as text; empty for a path without one.
fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => "",
    }
}

struct Walk<'a> {
    path: &'a str,
    folder: &'a str,
    lines: Lines<'a>,
    layer: Layer,
    mistakes: &'a mut Vec<Mistake>,
    /// Lines that are no TOML, or follow from such: what the parser made of them is not told.
    garbled: BTreeSet<usize>,
}

impl Walk<'_> {
    fn place(&self, offset: usize) -> Place {
        let (line, column) = self.lines.position(offset);
        Place::File { path: self.path.into(), line, column }
    }

    fn tell(&mut self, offset: usize, key: &str, problem: Problem) {
        let (line, _) = self.lines.position(offset);
        if !self.garbled.contains(&line) {
            self.mistakes.push(Mistake::new(self.place(offset), key, problem));
        }
    }

    fn syntax(&mut self, text: &str, error: &toml::de::Error) {
        let span = error.span().unwrap_or_default();
        let found = text.get(span.clone()).map(shorten).unwrap_or_default();
        let problem = match error.message() {
            // The parser leaves off which.
            message @ "duplicate key" => Problem::plain(format!("{message} {found:?}")),
            message => Problem::plain(message),
        };
        // One slip makes the parser stumble over the rest of the line.
        self.tell(span.start, "", problem);
        let (line, _) = self.lines.position(span.start);
        self.garbled.extend(self.lines.spoilt(line));
    }

    fn root(&mut self, root: &DeTable<'_>) {
        for (name, value) in root {
            let Some(section) = schema::section(name.get_ref()) else {
                let offset = name.span().start;
                self.tell(
                    offset,
                    &shorten(name.get_ref()),
                    schema::unknown_section(name.get_ref()),
                );
                continue;
            };
            match value.get_ref() {
                DeValue::Table(table) if !section.list => {
                    self.layer.mark(section.name, self.place(value.span().start));
                    self.keys(section, section.name, &[section.name], table);
                }
                DeValue::Array(entries) if section.list => {
                    for entry in entries {
                        self.entry(section, entry);
                    }
                }
                _ => self.wrong_shape(section, value),
            }
        }
    }

    fn wrong_shape(&mut self, section: &Section, value: &Spanned<DeValue<'_>>) {
        let what = if section.list { "a list of tables" } else { "one table" };
        let what = format!("wrong type: this section is {what}");
        let problem = Problem::new(what, format!("write {}", section.header()));
        self.tell(value.span().start, section.name, problem);
    }

    fn entry(&mut self, section: &'static Section, entry: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = entry.get_ref() else {
            return self.wrong_shape(section, entry);
        };
        let start = entry.span().start;
        let name = table.get("name").and_then(|value| {
            let key = section.key("name")?;
            let name = value::read(&key.kind, value, Some(self.folder)).ok()?;
            Some((name.into_string()?, self.place(value.span().start)))
        });
        let key = name.as_ref().map(|(name, _)| format!("{}.{name}", section.name));
        match &name {
            Some((name, place)) => {
                let again = self.layer.place(key.as_deref().unwrap_or_default()).is_some();
                self.layer.entries.push(Entry {
                    section: section.name,
                    name: name.clone(),
                    place: place.clone(),
                });
                // The second of one name is checked, but does not replace what the first says.
                let path: &[&str] = if again { &[] } else { &[section.name, name] };
                self.layer.mark(key.as_deref().unwrap_or_default(), self.place(start));
                self.keys(section, key.as_deref().unwrap_or_default(), path, table);
            }
            None => self.keys(section, section.name, &[], table),
        }
        if self.layer.broken {
            return;
        }
        for missing in section.required.iter().filter(|key| !table.contains_key(**key)) {
            let problem = missing_key(section, missing);
            let key = format!("{}.{missing}", key.as_deref().unwrap_or(section.name));
            self.tell(start, &key, problem);
        }
        if let Some((wrong, problem)) = (section.whole)(&|key| table.contains_key(key)) {
            let offset = table.get(wrong).map_or(start, |value| value.span().start);
            let key = format!("{}.{wrong}", key.as_deref().unwrap_or(section.name));
            self.tell(offset, &key, problem);
        }
    }

    /// Reads the keys of a table; an empty path checks them without keeping them.
    fn keys(&mut self, section: &Section, prefix: &str, path: &[&str], table: &DeTable<'_>) {
        for (name, value) in table {
            match section.key(name.get_ref()) {
                Some(key) => self.key(key, prefix, path, value),
                None => {
                    let key = format!("{prefix}.{}", shorten(name.get_ref()));
                    self.tell(name.span().start, &key, section.unknown_key(name.get_ref()));
                }
            }
        }
    }

    fn key(&mut self, key: &Key, prefix: &str, path: &[&str], value: &Spanned<DeValue<'_>>) {
        let full = format!("{prefix}.{}", key.name);
        if !path.is_empty() {
            self.layer.mark(&full, self.place(value.span().start));
            if let DeValue::Table(inner) = value.get_ref() {
                for (name, value) in inner {
                    let inner = format!("{full}.{}", name.get_ref());
                    self.layer.mark(&inner, self.place(value.span().start));
                }
            }
        }
        match value::read(&key.kind, value, Some(self.folder)) {
            Ok(found) if !path.is_empty() => self.layer.put(&[path, &[key.name]].concat(), found),
            Ok(_) => {}
            Err(flaws) => {
                for flaw in flaws {
                    self.tell(flaw.span.start, &full, flaw.problem);
                }
            }
        }
    }
}

/// The mistake of a section without a key that it needs.
pub(crate) fn missing_key(section: &Section, key: &str) -> Problem {
    let needs = section.required.join(", ");
    Problem::new(format!("missing key {key:?}"), format!("{} needs {needs}", section.header()))
}
