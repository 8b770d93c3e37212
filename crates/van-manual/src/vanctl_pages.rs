//! The pages of `vanctl`: one of its own, and one for each command.

use clap::Command;

use crate::page::{Page, sentence};
use crate::{ManualPage, about};

const MANUAL: &str = "User Commands";

pub(crate) fn pages() -> Vec<ManualPage> {
    let mut command = vanctl::definition().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![overview(&command)];
    pages.extend(command.get_subcommands().map(one));
    pages
}

fn overview(command: &Command) -> ManualPage {
    let mut page = Page::new("vanctl", 1, MANUAL);
    page.name(&about(command));
    page.synopsis(command);
    page.written(include_str!("../../../man/sections/vanctl.description"));
    page.section("COMMANDS");
    for inner in command.get_subcommands() {
        page.term(&format!("vanctl\\-{}", inner.get_name().replace('-', "\\-")), &sentence(inner));
    }
    page.section("OPTIONS");
    page.options(command);
    page.written(include_str!("../../../man/sections/vanctl"));
    page.end()
}

/// The page of one command, or of a group of them.
fn one(command: &Command) -> ManualPage {
    let command = without_global_options(command.clone());
    let mut page = Page::new(&format!("vanctl-{}", command.get_name()), 1, MANUAL);
    page.name(&about(&command));
    if command.has_subcommands() {
        page.synopsis(&command);
        page.section("COMMANDS");
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            page.command(&without_global_options(inner.clone()));
        }
    } else {
        page.synopsis(&command);
        page.section("OPTIONS");
        page.options(&command);
        page.paragraph("The options that every command has are in vanctl(1).");
        page.section("EXAMPLES");
        page.after(&command);
    }
    page.written(include_str!("../../../man/sections/vanctl.see-also"));
    page.end()
}

/// They stand once, in the page of vanctl itself.
fn without_global_options(command: Command) -> Command {
    command.mut_args(|arg| {
        let global = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(global)
    })
}
