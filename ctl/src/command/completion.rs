//! `vanctl completion`.

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::cli::Session;
use crate::error::{Outcome, Problem};
use crate::names::VARIABLE;

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
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
        };
        let mut script = Vec::new();
        shell
            .write_registration(VARIABLE, "vanctl", "vanctl", "vanctl", &mut script)
            .map_err(|error| Problem::failed(error.to_string()))?;
        session.output.text(&String::from_utf8_lossy(&script))
    }
}
