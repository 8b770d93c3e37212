//! `vanctl explain`.

use clap::Args;
use serde_json::json;
use van_model::{EXPLANATIONS, Explanation, message_id};

use crate::error::{Exit, Outcome, Problem};
use crate::output::Output;
use crate::table::Table;

pub(super) const EXAMPLE: &str = "Examples:\n  vanctl explain LinkDown\n  vanctl explain -o json";

/// The arguments of `vanctl explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A code out of an event, a condition or an error; without one, all are listed
    code: Option<String>,
}

impl Explain {
    pub(super) fn run(self, output: Output) -> Outcome {
        match &self.code {
            Some(code) => explain(output, code),
            None => list(output),
        }
    }
}

fn explain(output: Output, code: &str) -> Outcome {
    // Codes differ in their case alone where both an error and a condition have the word.
    let exact = EXPLANATIONS.iter().find(|e| e.code == code);
    let found = exact.or_else(|| EXPLANATIONS.iter().find(|e| e.code.eq_ignore_ascii_case(code)));
    let Some(found) = found else {
        let near = EXPLANATIONS.iter().filter(|e| is_near(e.code, code)).map(|e| e.code);
        let near: Vec<&str> = near.collect();
        let hint = match near.is_empty() {
            true => "'vanctl explain' lists all codes".to_owned(),
            false => format!("did you mean {}?", near.join(", ")),
        };
        let why = format!("there is no code {code:?}");
        return Err(Problem::new(Exit::NotFound, why).hint(hint));
    };
    if !output.for_people() {
        return output.document(&document(found));
    }
    let Explanation { code, meaning, remedy } = found;
    let remedy = if remedy.is_empty() { "Nothing has to be done." } else { remedy };
    let journal = format!("In the journal: journalctl MESSAGE_ID={}", message_id(code));
    output.text(&format!("{code}: {meaning}\n\n{remedy}\n\n{journal}\n"))
}

fn list(output: Output) -> Outcome {
    if !output.for_people() {
        let items: Vec<_> = EXPLANATIONS.iter().map(document).collect();
        return output.document(&json!({ "items": items }));
    }
    let mut table = Table::new(&["CODE", "MEANING"]);
    for Explanation { code, meaning, .. } in EXPLANATIONS {
        table.row(vec![(*code).to_owned(), (*meaning).to_owned()]);
    }
    output.text(&table.render(false))
}

fn document(found: &Explanation) -> serde_json::Value {
    let Explanation { code, meaning, remedy } = found;
    json!({ "code": code, "meaning": meaning, "remedy": remedy, "message_id": message_id(code) })
}

/// Whether one holds the other, whatever the case.
fn is_near(code: &str, asked: &str) -> bool {
    let (code, asked) = (code.to_lowercase(), asked.to_lowercase());
    asked.len() >= 3 && (code.contains(&asked) || asked.contains(&code))
}
