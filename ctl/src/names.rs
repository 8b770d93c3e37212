//! Names of what the daemon has, for shells that complete a line.
//!
//! Invariant: a daemon that is away, slow or forbids it costs the reader nothing but the names.

use std::time::Duration;

use clap::Command;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use serde_json::Value;

use crate::client::Client;
use crate::url::Url;

/// The variable by which a shell's script asks for candidates, and says which shell it is.
pub(crate) const VARIABLE: &str = "VANCTL_COMPLETE";

/// Somebody waits with a finger on the key.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where names are found: a list of the API, and the place in each of its items.
type Place = (&'static str, &'static str);

const SITES: Place = ("/v1/network", "/name");
const ADDRESSES: Place = ("/v1/services", "/spec/address");
const PEERS: Place = ("/v1/peers", "/name");
const LINKS: Place = ("/v1/links", "/name");
const LISTENERS: Place = ("/v1/listeners", "/name");
const CONNECTORS: Place = ("/v1/connectors", "/name");
const TOKENS: Place = ("/v1/tokens", "/name");

/// Which argument of which command takes which names.
const ARGUMENTS: [(&[&str], &str, Place); 18] = [
    (&["connector", "create"], "address", ADDRESSES),
    (&["connector", "delete"], "name", CONNECTORS),
    (&["connector", "status"], "name", CONNECTORS),
    (&["expose"], "address", ADDRESSES),
    (&["flows"], "address", ADDRESSES),
    (&["flows"], "site", SITES),
    (&["link", "delete"], "name", LINKS),
    (&["link", "status"], "name", LINKS),
    (&["listener", "create"], "address", ADDRESSES),
    (&["listener", "delete"], "name", LISTENERS),
    (&["listener", "status"], "name", LISTENERS),
    (&["peer", "revoke"], "site", SITES),
    (&["peer", "trust"], "site", PEERS),
    (&["ping"], "site", SITES),
    (&["service", "status"], "name", ADDRESSES),
    (&["token", "revoke"], "name", TOKENS),
    (&["trace"], "address", ADDRESSES),
    (&["unexpose"], "address", ADDRESSES),
];

/// Answers a shell that asks for candidates, and ends then.
pub(crate) fn answer(definition: fn() -> Command) {
    CompleteEnv::with_factory(move || with_names(definition()))
        .var(VARIABLE)
        .bin("vanctl")
        .completer("vanctl")
        .complete();
}

fn with_names(command: Command) -> Command {
    ARGUMENTS
        .into_iter()
        .fold(command, |command, (words, argument, place)| attach(command, words, argument, place))
}

fn attach(command: Command, words: &[&str], argument: &str, place: Place) -> Command {
    match words.split_first() {
        Some((word, rest)) => {
            command.mut_subcommand(word, |inner| attach(inner, rest, argument, place))
        }
        None => {
            command.mut_arg(argument, |arg| arg.add(ArgValueCandidates::new(move || live(place))))
        }
    }
}

fn live((list, name): Place) -> Vec<CompletionCandidate> {
    let document = ask(list).unwrap_or_default();
    let items = document.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let names = items.iter().filter_map(|item| item.pointer(name)?.as_str().map(str::to_owned));
    names.filter(|name| is_plain(name)).map(CompletionCandidate::new).collect()
}

/// A name goes into the reader's command line: only what no shell takes for more than text.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
}

fn ask(list: &str) -> Option<Value> {
    let url = std::env::var("VANCTL_URL").ok().filter(|text| !text.is_empty());
    let url = url.map_or_else(|| Some(Url::default_here()), |text| text.parse().ok())?;
    // A login elsewhere would ask for a password in the middle of a line.
    if !matches!(url, Url::Unix(_)) {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(Client::new(url, PATIENCE).get(list)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_that_takes_names_is_one() {
        let mut command = with_names(crate::cli::definition());
        command.build();
        for (words, argument, _) in ARGUMENTS {
            let found = words.iter().fold(&command, |at, word| at.find_subcommand(word).unwrap());
            let argument = found.get_arguments().find(|arg| arg.get_id() == argument).unwrap();
            assert!(argument.get::<ArgValueCandidates>().is_some(), "{words:?}");
        }
    }

    #[test]
    fn what_a_shell_would_read_is_no_candidate() {
        for good in ["db-host", "backend:8080", "a_b.c"] {
            assert!(is_plain(good));
        }
        for bad in ["$(reboot)", "a b", "a;b", "`x`", "a\nb", "a'b", "é"] {
            assert!(!is_plain(bad));
        }
    }
}
