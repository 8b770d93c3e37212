//! The text of a configuration with what is wanted in it, and with everything else as it was.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};
use van_model::{Mode, Name};

/// What a new configuration begins as: the package's own, in which everything is commented out.
const TEMPLATE: &str = include_str!("../../../packaging/common/vand.toml");
/// The line of it under which the site's keys belong.
const SITE: &str = "#[site]";

/// What the configuration is to say; the rest stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// The site's name.
    pub(crate) name: Option<Name>,
    /// Interior or edge.
    pub(crate) mode: Option<Mode>,
}

impl Wanted {
    fn keys(&self) -> impl Iterator<Item = (&'static str, String)> {
        let name = self.name.as_ref().map(|name| ("name", name.to_string()));
        let mode = self.mode.map(|mode| ("mode", mode.to_string()));
        name.into_iter().chain(mode)
    }
}

/// The text of a configuration with what is wanted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The whole file.
    pub(crate) text: String,
    /// What is not as it was, a sentence each.
    pub(crate) changes: Vec<String>,
    /// Whether there was no file.
    pub(crate) fresh: bool,
}

impl Draft {
    /// Puts what is wanted into the text of a file, or of a new one.
    ///
    /// # Errors
    /// Where the text is no TOML, or `site` is no table: why, in words.
    pub(crate) fn new(old: Option<&str>, wanted: &Wanted) -> Result<Self, String> {
        let text = old.unwrap_or(TEMPLATE);
        let parsed = text.parse::<DocumentMut>().map_err(|error| error.message().to_owned())?;
        let mut changes = Vec::new();
        let mut document = uncommented(text, &parsed).unwrap_or(parsed);
        for (key, value) in wanted.keys() {
            let site = document.entry("site").or_insert_with(|| Item::Table(Table::new()));
            let site = site.as_table_like_mut().ok_or("site is no table")?;
            if let Some(change) = set(site, key, &value) {
                changes.push(change);
            }
        }
        let fresh = old.is_none();
        // What was not to be changed is the same to the byte.
        let text = if changes.is_empty() { text.to_owned() } else { document.to_string() };
        Ok(Self { text, changes, fresh })
    }

    /// Whether the file is to be written.
    pub(crate) fn differs(&self) -> bool {
        self.fresh || !self.changes.is_empty()
    }
}

/// The document with the package's commented heading made a real one, where that adds nothing but an
/// empty table.
fn uncommented(text: &str, parsed: &DocumentMut) -> Option<DocumentMut> {
    if parsed.contains_key("site") {
        return None;
    }
    let start = match text.starts_with(SITE) {
        true => 0,
        false => text.find(&format!("\n{SITE}"))? + 1,
    };
    let (before, after) = text.split_at(start);
    let document = format!("{before}{}", &after[1..]).parse::<DocumentMut>().ok()?;
    document.get("site")?.as_table()?.is_empty().then_some(document)
}

/// Sets a key, and says what changed.
fn set(site: &mut dyn TableLike, key: &str, wanted: &str) -> Option<String> {
    let Some(item) = site.get_mut(key) else {
        site.insert(key, toml_edit::value(wanted));
        return Some(format!("site.{key} = {wanted:?}"));
    };
    let said = item.as_value().map(|value| match value {
        Value::String(text) => format!("{:?}", text.value()),
        other => other.to_string().trim().to_owned(),
    });
    if item.as_str() == Some(wanted) {
        return None;
    }
    let mut value = Value::from(wanted);
    if let Some(old) = item.as_value() {
        // The comment behind it stays.
        *value.decor_mut() = old.decor().clone();
    }
    *item = Item::Value(value);
    Some(format!("site.{key} = {wanted:?}, was {}", said.as_deref().unwrap_or("a table")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str, mode: Option<Mode>) -> Wanted {
        Wanted { name: (!name.is_empty()).then(|| name.parse().unwrap()), mode }
    }

    fn draft(old: &str, name: &str, mode: Option<Mode>) -> Draft {
        Draft::new(Some(old), &wanted(name, mode)).unwrap()
    }

    #[test]
    fn a_new_file_is_the_packages_with_the_sites_keys() {
        let draft = Draft::new(None, &wanted("db", Some(Mode::Edge))).unwrap();
        assert!(draft.fresh && draft.differs());
        assert!(
            draft.text.contains("\n[site]\nname = \"db\"\nmode = \"edge\"\n#name = "),
            "{draft:?}"
        );
        assert_eq!(draft.text.lines().count(), TEMPLATE.lines().count() + 2);
        assert_eq!(draft.changes, ["site.name = \"db\"", "site.mode = \"edge\""]);
        let plain = Draft::new(None, &Wanted::default()).unwrap();
        assert_eq!((&*plain.text, plain.differs()), (TEMPLATE, true));
    }

    #[test]
    fn comments_and_order_stay() {
        let old =
            "# mine\n[accept]\nlisten = [ \"[::]:1\" ] # odd\n\n[site] # here\nname = 'a' # old\n";
        let new = draft(old, "b", Some(Mode::Interior));
        let text = "# mine\n[accept]\nlisten = [ \"[::]:1\" ] # odd\n\n[site] # here\n\
                    name = \"b\" # old\nmode = \"interior\"\n";
        assert_eq!(new.text, text);
        assert_eq!(new.changes, ["site.name = \"b\", was \"a\"", "site.mode = \"interior\""]);
    }

    #[test]
    fn what_is_there_already_is_no_change() {
        for old in [
            "[site]\nname='b'",
            "site.name = \"b\"\n",
            "site = { name = \"b\" }\r\n",
            "site.name=\"b\"",
        ] {
            let same = draft(old, "b", None);
            assert_eq!((&*same.text, same.differs()), (old, false));
        }
        assert!(!draft("", "", None).differs());
    }

    #[test]
    fn other_ways_to_write_the_table_are_kept() {
        assert_eq!(draft("site = { name = \"a\" }\n", "b", None).text, "site = { name = \"b\" }\n");
        assert_eq!(
            draft("site.mode = \"edge\"\n", "b", None).text,
            "site.mode = \"edge\"\nsite.name = \"b\"\n"
        );
        assert_eq!(draft("", "b", None).text, "[site]\nname = \"b\"\n");
        let number = draft("[site]\nname = 7\n", "b", None);
        assert_eq!(number.changes, ["site.name = \"b\", was 7"]);
        // A heading that would take the keys of another table is left commented.
        let odd = "[[link]]\nname = \"a\"\n#[site]\ntoken = \"/t\"\n";
        assert!(draft(odd, "b", None).text.starts_with(odd), "{}", draft(odd, "b", None).text);
    }

    #[test]
    fn what_is_no_configuration_is_not_touched() {
        assert!(Draft::new(Some("[site"), &Wanted::default()).is_err());
        assert_eq!(
            Draft::new(Some("site = 1"), &wanted("b", None)).unwrap_err(),
            "site is no table"
        );
    }
}
