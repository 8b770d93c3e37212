//! The manual pages of `man/`: what the definitions of the command lines say, and sections written
//! by hand in `man/sections/`.
//!
//! Invariant: an option, a default or an example stands in one place only, where it is defined.

mod page;
mod vanctl_pages;
#[path = "../../../daemon/src/cli.rs"]
#[expect(dead_code, reason = "its definition is read, no command line is")]
mod vand_cli;

use clap::CommandFactory as _;

use page::Page;

/// A manual page: the name of its file, as `vand.8`, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualPage {
    /// The name of its file.
    pub file: String,
    /// Its text, for man.
    pub text: String,
}

/// Makes all pages, in the order of their names.
pub fn pages() -> Vec<ManualPage> {
    let mut pages = vanctl_pages::pages();
    pages.push(vand());
    pages.push(vand_toml());
    pages.sort_by(|a, b| a.file.cmp(&b.file));
    pages
}

fn vand() -> ManualPage {
    let mut command = vand_cli::Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = Page::new("vand", 8, "System Administration");
    page.name(&about(&command));
    page.synopsis(&command);
    page.written(include_str!("../../../man/sections/vand.description"));
    page.section("COMMANDS");
    for inner in command.get_subcommands() {
        page.command(inner);
    }
    page.written(include_str!("../../../man/sections/vand"));
    page.end()
}

fn vand_toml() -> ManualPage {
    let mut page = Page::new("vand.toml", 5, "File Formats");
    page.name("configuration of a virtual application network daemon");
    page.written(include_str!("../../../man/sections/vand.toml"));
    page.end()
}

fn about(command: &clap::Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut letters = about.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_pages_in_the_tree_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man");
        let pages = pages();
        for page in &pages {
            let kept = fs::read_to_string(folder.join(&page.file)).unwrap_or_default();
            assert!(kept == page.text, "{} is not current: run `make man`", page.file);
        }
        let made: BTreeSet<_> = pages.into_iter().map(|page| page.file).collect();
        let kept = fs::read_dir(folder).expect("the tree has manual pages");
        let kept = kept.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_page = |name: &String| name.ends_with(|end: char| end.is_ascii_digit());
        let stale: Vec<_> = kept.filter(is_page).filter(|name| !made.contains(name)).collect();
        assert!(stale.is_empty(), "{stale:?} have no command: run `make man`");
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let pages = pages();
        let text = |file: &str| {
            &pages.iter().find(|page| page.file == file).unwrap_or_else(|| panic!("no {file}")).text
        };
        for command in vanctl::definition().get_subcommands() {
            let page = text(&format!("vanctl-{}.1", command.get_name()));
            assert!(page.contains(".SH EXAMPLES") || page.contains(".SH COMMANDS"), "{page}");
        }
        assert!(text("vanctl-token.1").contains("\\-\\-expires"));
        assert!(!text("vanctl-token.1").contains("\\-\\-no\\-color"), "global options stand once");
        assert!(text("vanctl.1").contains("\\-\\-no\\-color"));
        assert!(text("vand.8").contains("\\-\\-state\\-dir"));
    }
}
