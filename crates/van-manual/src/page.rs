//! The text of one manual page.

use std::io;

use clap::Command;
use clap_mangen::Man;

use crate::ManualPage;

/// A page in the making.
pub(crate) struct Page {
    file: String,
    name: String,
    text: String,
}

impl Page {
    pub(crate) fn new(name: &str, section: u8, manual: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let title = name.to_uppercase();
        let text = format!(
            ".\\\" Made by `make man` from the definition of the command line and man/sections.\n\
             .TH \"{title}\" {section} \"\" \"vand {version}\" \"{manual}\"\n\
             .ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n"
        );
        Self { file: format!("{name}.{section}"), name: name.into(), text }
    }

    /// The line by which the page is found.
    pub(crate) fn name(&mut self, about: &str) {
        self.section("NAME");
        let line = format!("{} \\- {}\n", escaped(&self.name), escaped(about));
        self.text.push_str(&line);
    }

    pub(crate) fn section(&mut self, title: &str) {
        self.text.push_str(&format!(".SH {title}\n"));
    }

    /// A paragraph.
    pub(crate) fn paragraph(&mut self, text: &str) {
        self.text.push_str(".PP\n");
        for line in text.lines() {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        self.text.push_str(&format!("{guard}{}\n", escaped(line)));
    }

    /// A word that stands out, already in man's own language, and what it means.
    pub(crate) fn term(&mut self, word: &str, meaning: &str) {
        self.text.push_str(&format!(".TP\n\\fB{word}\\fR(1)\n"));
        self.line(meaning);
    }

    /// Lines as they would be typed.
    fn example(&mut self, lines: &[&str]) {
        self.text.push_str(".PP\n.RS 4\n.nf\n");
        for line in lines {
            self.line(line);
        }
        self.text.push_str(".fi\n.RE\n");
    }

    /// Sections written by hand, in man's own language.
    pub(crate) fn written(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(crate) fn synopsis(&mut self, command: &Command) {
        self.section("SYNOPSIS");
        self.generated(command, Man::render_synopsis_section);
    }

    pub(crate) fn options(&mut self, command: &Command) {
        let has = |arg: &&clap::Arg| {
            !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version"
        };
        if command.get_arguments().any(|arg| has(&arg)) {
            self.generated(command, Man::render_options_section);
        }
    }

    /// One command in a page of several: how it is called, what it does, options and examples.
    pub(crate) fn command(&mut self, command: &Command) {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        let title = escaped(name);
        self.text.push_str(&format!(".SS {title}\n"));
        self.generated(command, Man::render_synopsis_section);
        self.paragraph(&sentence(command));
        self.options(command);
        self.after(command);
    }

    /// What stands after the options: remarks and examples.
    pub(crate) fn after(&mut self, command: &Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut example = Vec::new();
        for line in help.lines().map(|line| line.trim_end_matches('\\')) {
            match line.strip_prefix("  ") {
                Some(typed) => example.push(typed),
                None => {
                    self.flush(&mut example);
                    // The last sentence of a remark may open the examples.
                    let remark = line.trim_end_matches("Examples:").trim_end_matches("Example:");
                    if !remark.trim().is_empty() {
                        self.paragraph(remark.trim());
                    }
                }
            }
        }
        self.flush(&mut example);
    }

    fn flush(&mut self, example: &mut Vec<&str>) {
        if !example.is_empty() {
            self.example(example);
            example.clear();
        }
    }

    /// A generated section without its title, which would be the same for each command of a page.
    fn generated(
        &mut self,
        command: &Command,
        render: fn(&Man, &mut dyn io::Write) -> Result<(), io::Error>,
    ) {
        let mut bytes = Vec::new();
        render(&Man::new(command.clone()), &mut bytes).expect("a vector takes everything");
        let text = String::from_utf8_lossy(&bytes);
        let is_head = |line: &&str| {
            !line.starts_with(".SH") && !line.starts_with(".ie ") && !line.starts_with(".el ")
        };
        for line in text.lines().filter(is_head) {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    pub(crate) fn end(self) -> ManualPage {
        ManualPage { file: self.file, text: self.text }
    }
}

/// What a command does, as a sentence.
pub(crate) fn sentence(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    format!("{}.", about.trim_end_matches('.'))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\*(Aq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_request_of_man() {
        let mut page = Page::new("x", 1, "m");
        page.paragraph(".SH not a section\n'nor this\nback\\slash --dash");
        let text = page.end().text;
        assert!(text.contains("\\&.SH not"), "{text}");
        assert!(text.contains("\\&\\*(Aqnor"), "{text}");
        assert!(text.contains("back\\eslash \\-\\-dash"), "{text}");
    }

    #[test]
    fn examples_stand_apart_from_remarks() {
        let mut page = Page::new("x", 1, "m");
        page.after(&Command::new("x").after_help("It is so.\n\nExamples:\n  x a\n  x b"));
        let text = page.end().text;
        assert!(text.ends_with("It is so.\n.PP\n.RS 4\n.nf\nx a\nx b\n.fi\n.RE\n"), "{text}");
    }
}
