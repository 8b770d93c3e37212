//! `vanctl completion`.

use clap::{Args, CommandFactory, ValueEnum};

use crate::cli::{Cli, Session};
use crate::error::Outcome;

/// How `vanctl completion` is used.
pub(crate) const EXAMPLE: &str = "Examples:\n  source <(vanctl completion bash)\n  \
    vanctl completion zsh > ~/.zfunc/_vanctl\n  \
    vanctl completion fish > ~/.config/fish/completions/vanctl.fish";

/// The shells that are known.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// The options of `vanctl completion`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(super) fn run(self, session: &Session) -> Outcome {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "vanctl", &mut script);
        session.output.text(&String::from_utf8_lossy(&script))
    }
}
