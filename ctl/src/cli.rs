//! The command line: reads it, runs its command and tells how that ended.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};

use crate::client::Client;
use crate::command::Command;
use crate::error::{Exit, Outcome, Problem};
use crate::kube::{Cluster, Lazy, Namespace};
use crate::output::{Format, Output};
use crate::url::Url;

/// Speaks to vand, the virtual application network daemon
#[derive(Debug, Parser)]
#[command(
    name = "vanctl",
    version,
    infer_subcommands = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  vanctl status\n  vanctl token create public.token\n  \
        vanctl link create public.token\n  vanctl expose 127.0.0.1:2000 --address echo\n\n\
        Exit codes: 0 done, 1 failed, 2 usage, 3 the daemon can't be reached, 4 not found, \
        5 not allowed, 6 timed out."
)]
pub(crate) struct Cli {
    /// Where the daemon is: unix:///path, ssh://[user@]host or kube://[context]/[namespace]
    #[arg(long, global = true, env = "VANCTL_URL", hide_env_values = true, value_name = "URL", help_heading = GLOBAL)]
    url: Option<String>,
    /// The namespace of a cluster whose site is meant, whatever --url says
    #[arg(short, long, global = true, value_name = "NAMESPACE", help_heading = GLOBAL)]
    namespace: Option<String>,
    /// The cluster that is meant: a context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT", help_heading = GLOBAL)]
    context: Option<String>,
    /// What is printed: tables for people, or documents for programs
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_default_value = true,
        help_heading = GLOBAL
    )]
    output: Format,
    /// How long each answer of the daemon may take; 0 is without end
    #[arg(
        long,
        global = true,
        default_value = "30s",
        value_parser = van_model::parse_duration,
        value_name = "DURATION",
        help_heading = GLOBAL
    )]
    timeout: Duration,
    /// Print names only, and nothing about what was done
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    quiet: bool,
    /// Print without colours
    #[arg(long, global = true, help_heading = GLOBAL)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

const GLOBAL: &str = "Global options";

/// What a command works with.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Whether somebody said where the daemon is.
    pub(crate) chosen: bool,
    pub(crate) output: Output,
    /// The cluster, once a command needs it.
    cluster: Lazy,
}

impl Session {
    /// The cluster where the site is; `None`: it is on a host.
    pub(crate) async fn cluster(&self) -> Outcome<Option<&Cluster>> {
        match self.client.url() {
            Url::Kube(namespace) => self.cluster.get(namespace).await.map(Some),
            Url::Unix(_) | Url::Ssh { .. } => Ok(None),
        }
    }
}

/// The definition of the command line, of which completions and manual pages are made.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the command line; the exit codes are those of the manual.
pub fn run(args: &[OsString]) -> ExitCode {
    crate::names::answer(definition);
    let matches = match Cli::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return misused(&error, args),
    };
    let what = spoken(&matches);
    let done = Cli::from_arg_matches(&matches)
        .map_err(|error| Problem::usage(error.to_string()))
        .and_then(|cli| start(cli, is_plugin(args)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => tell(&problem, &what),
    }
}

/// Whether kubectl runs this program as its plug-in: then a cluster is meant.
fn is_plugin(args: &[OsString]) -> bool {
    let name = args.first().map(Path::new).and_then(Path::file_name);
    name.is_some_and(|name| name == "kubectl-van")
}

fn start(cli: Cli, is_plugin: bool) -> Outcome {
    // An empty variable is taken for one that isn't set.
    let given = cli.url.as_deref().filter(|text| !text.is_empty());
    let url = url(given, cli.namespace, cli.context, is_plugin)?;
    let output = Output::new(cli.output, cli.quiet, cli.no_color);
    let chosen = given.is_some();
    let client = Client::new(url, cli.timeout);
    let mut session = Session { client, chosen, output, cluster: Lazy::default() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::failed(format!("can't start: {error}")))?;
    let done = runtime.block_on(cli.command.run(&mut session));
    // A read of standard input that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Where the daemon is: as it is said, else in a cluster where a part of one is said, else on this host.
fn url(
    given: Option<&str>,
    namespace: Option<String>,
    context: Option<String>,
    is_plugin: bool,
) -> Outcome<Url> {
    let kubernetes =
        || is_plugin || std::env::var_os("VANCTL_PLATFORM").is_some_and(|p| p == "kubernetes");
    if namespace.is_some() || context.is_some() {
        return Ok(Url::Kube(Namespace { context, namespace }));
    }
    match given {
        Some(text) => text
            .parse::<Url>()
            .map_err(|error| Problem::usage(format!("{text:?} is no URL of a daemon: {error}"))),
        None if kubernetes() => Ok(Url::Kube(Namespace::default())),
        None => Ok(Url::default_here()),
    }
}

fn tell(problem: &Problem, what: &str) -> ExitCode {
    if let Some(lines) = problem.lines(what) {
        // A closed standard error leaves nobody to tell; the exit code says it too.
        let _unheard = std::io::stderr().write_all(lines.as_bytes());
    }
    ExitCode::from(problem.exit as u8)
}

/// The command's words, as `link status`.
fn spoken(matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    let mut at = matches.subcommand();
    while let Some((word, inner)) = at {
        words.push(word.to_owned());
        at = inner.subcommand();
    }
    words.join(" ")
}

/// The command's words as far as they can be told from a line that can't be read.
fn meant(args: &[OsString]) -> String {
    let mut command = Cli::command();
    command.build();
    let (mut at, mut words) = (&command, Vec::new());
    for arg in args.iter().skip(1).filter_map(|arg| arg.to_str()) {
        let mut found = at.get_subcommands().filter(|sub| sub.get_name().starts_with(arg));
        match (found.next(), found.next()) {
            (Some(sub), None) => at = sub,
            (Some(_), Some(_)) => match at.find_subcommand(arg) {
                Some(sub) => at = sub,
                None => break,
            },
            (None, _) => continue,
        }
        words.push(at.get_name());
    }
    if words.is_empty() { "reading the command line".into() } else { words.join(" ") }
}

/// Answers a line that asks for help, or says what is wrong with it.
fn misused(error: &clap::Error, args: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader who has seen enough is no failure.
            let _closed = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            let _closed = error.print();
            ExitCode::from(Exit::Usage as u8)
        }
        _ => tell(&usage(error), &meant(args)),
    }
}

/// An error of the command line in the form of all others.
fn usage(error: &clap::Error) -> Problem {
    let text = error.render().to_string();
    let (mut why, mut hint) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        match line.strip_prefix("tip: ") {
            Some(tip) => hint = hint.or(Some(tip.to_owned())),
            None => why.push(line.strip_prefix("error: ").unwrap_or(line)),
        }
    }
    let mut problem = Problem::usage(why.join(" ").trim().to_owned());
    problem.hint = hint.or_else(|| {
        let usage = error.get(ContextKind::Usage)?.to_string();
        let usage = usage.trim().strip_prefix("Usage: ").map(str::to_owned)?;
        Some(format!("usage: {usage}"))
    });
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn problem(line: &str) -> Problem {
        usage(&Cli::command().try_get_matches_from(args(line)).unwrap_err())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_by_example() {
        fn check(command: &clap::Command) {
            let mut subs = command.get_subcommands().filter(|s| s.get_name() != "help").peekable();
            if subs.peek().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("vanctl "), "{} has no example", command.get_name());
            }
            subs.for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn prefixes_stand_for_commands() {
        let spoken_of = |line| spoken(&Cli::command().try_get_matches_from(args(line)).unwrap());
        assert_eq!(spoken_of("vanctl lin st"), "link status");
        assert_eq!(spoken_of("vanctl -o json tok l"), "token list");
        assert_eq!(problem("vanctl l status").exit, Exit::Usage);
    }

    #[test]
    fn mistakes_are_one_line_and_a_hint() {
        let missing = problem("vanctl listener create");
        assert!(missing.why.contains("<NAME> <BIND>"), "{missing:?}");
        assert!(missing.hint.unwrap().starts_with("usage: vanctl listener create"));
        let typo = problem("vanctl lnk status");
        assert!(typo.hint.as_deref().unwrap().contains("link"), "{typo:?}");
        let bad = problem("vanctl token create --expires soon");
        assert!(bad.why.contains("is not a duration"), "{bad:?}");
        for word in ["NonZero", "u16", "ParseInt", "::"] {
            assert!(!problem("vanctl link create f --cost 0").why.contains(word));
        }
        assert_eq!(meant(&args("vanctl link create f --cost 0")), "link create");
        assert_eq!(meant(&args("vanctl --bogus")), "reading the command line");
    }
}
