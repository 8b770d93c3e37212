//! From a spanned TOML value to the checked form in which the model reads it.

use std::ops::Range;

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use van_model::ByteSize;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Rule};
use crate::text::shorten;
use crate::{route, site};

/// The most strings that a list may have; a site has far fewer addresses.
const TEXTS: usize = 64;

/// Something wrong within a value.
pub(crate) struct Flaw {
    pub(crate) span: Range<usize>,
    pub(crate) problem: Problem,
}

/// Reads one value; each flaw is told, and only a value without any is given.
pub(crate) fn read(
    kind: &Kind,
    value: &Spanned<DeValue<'_>>,
    folder: Option<&str>,
) -> Result<Value, Vec<Flaw>> {
    let single = |problem| vec![Flaw { span: value.span(), problem }];
    match (kind, value.get_ref()) {
        (Kind::Text(rule, _), DeValue::String(text)) => {
            rule(text, folder).map(Value::from).map_err(single)
        }
        (Kind::Texts(rule, accepted, may_be_empty), DeValue::Array(array)) => {
            let hint = format!("accepted: {accepted}");
            if array.is_empty() && !may_be_empty {
                return Err(single(Problem::new("the list is empty", hint)));
            }
            if array.len() > TEXTS {
                let what = format!("{} are too many, the list may have {TEXTS}", array.len());
                return Err(single(Problem::new(what, hint)));
            }
            texts(*rule, accepted, array, folder)
        }
        (Kind::Number(min, max), DeValue::Integer(number)) => {
            let found = u64::from_str_radix(number.as_str(), number.radix()).ok();
            found.filter(|n| (min..=max).contains(&n)).map(Value::from).ok_or_else(|| {
                let what = format!("{} is out of range", shorten(&number.to_string()));
                single(Problem::new(what, accepted(kind)))
            })
        }
        (Kind::Size(min, max), DeValue::Integer(_) | DeValue::String(_)) => {
            size(value.get_ref(), *min, *max).map(Value::from).map_err(single)
        }
        (Kind::Share, DeValue::Integer(_) | DeValue::Float(_)) => {
            share(value.get_ref()).map(Value::from).map_err(single)
        }
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::from(*flag)),
        (Kind::Labels, DeValue::Table(_)) => labels(value),
        (Kind::Routes, DeValue::Array(array)) => route::read(array),
        (Kind::Table(keys, required), DeValue::Table(entries)) => {
            table(keys, required, entries, value.span(), folder)
        }
        (Kind::Later, _) => {
            Err(single(Problem::new("not in this version yet", "take this key out")))
        }
        (_, other) => Err(single(wrong_type(kind, other))),
    }
}

fn texts(
    rule: Rule,
    accepted: &str,
    array: &DeArray<'_>,
    folder: Option<&str>,
) -> Result<Value, Vec<Flaw>> {
    let mut found: Vec<String> = Vec::new();
    let mut flaws = Vec::new();
    for item in array {
        let read = match item.get_ref() {
            DeValue::String(text) => rule(text, folder),
            other => Err(type_problem(other, "a string", format!("accepted: {accepted}"))),
        };
        match read {
            Ok(text) if found.contains(&text) => {
                let problem =
                    Problem::plain(format!("{:?} stands in the list twice", shorten(&text)));
                flaws.push(Flaw { span: item.span(), problem });
            }
            Ok(text) => found.push(text),
            Err(problem) => flaws.push(Flaw { span: item.span(), problem }),
        }
    }
    if flaws.is_empty() { Ok(Value::from(found)) } else { Err(flaws) }
}

fn table(
    keys: &'static [Key],
    required: &[&str],
    entries: &DeTable<'_>,
    span: Range<usize>,
    folder: Option<&str>,
) -> Result<Value, Vec<Flaw>> {
    let (mut found, mut flaws) = (Dict::new(), Vec::new());
    for (name, value) in entries {
        let Some(key) = keys.iter().find(|key| key.name == name.get_ref()) else {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            let problem = schema::unknown("key", name.get_ref(), &names, &names);
            flaws.push(Flaw { span: name.span(), problem });
            continue;
        };
        match read(&key.kind, value, folder) {
            Ok(value) => drop(found.insert(key.name.into(), value)),
            Err(more) => flaws.extend(more),
        }
    }
    let missing = required.iter().find(|name| !entries.iter().any(|(n, _)| n.get_ref() == **name));
    if let Some(name) = missing {
        let hint = format!("write {name} = …");
        flaws.push(Flaw { span, problem: Problem::new(format!("{name} is missing"), hint) });
    }
    if flaws.is_empty() { Ok(found.into()) } else { Err(flaws) }
}

fn labels(value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Flaw>> {
    let Some(table) = value.get_ref().as_table() else { return Ok(Dict::new().into()) };
    let mut found = Dict::new();
    let mut flaws = Vec::new();
    if table.len() > site::LABELS {
        let what = format!("{} labels are too many", table.len());
        let problem = Problem::new(what, format!("accepted: at most {}", site::LABELS));
        return Err(vec![Flaw { span: value.span(), problem }]);
    }
    for (key, value) in table {
        let read = match value.get_ref() {
            DeValue::String(text) => site::label(key.get_ref(), text).map(|()| text.to_string()),
            other => {
                let what = format!("label {:?}", shorten(key.get_ref()));
                let problem = type_problem(other, "a string", String::new());
                Err(Problem::new(format!("{what}: {}", problem.what), "write the value in quotes"))
            }
        };
        match read {
            Ok(text) => drop(found.insert(key.get_ref().to_string(), text.into())),
            Err(problem) => flaws.push(Flaw { span: value.span(), problem }),
        }
    }
    if flaws.is_empty() { Ok(found.into()) } else { Err(flaws) }
}

fn size(value: &DeValue<'_>, min: u64, max: u64) -> Result<u64, Problem> {
    let kind = Kind::Size(min, max);
    let (shown, found) = match value {
        DeValue::String(text) => {
            let size: ByteSize = text.parse().map_err(|_| {
                Problem::new(format!("{:?} is no size", shorten(text)), accepted(&kind))
            })?;
            (text.to_string(), Some(size.as_u64()))
        }
        DeValue::Integer(number) => {
            (number.to_string(), u64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        other => return Err(wrong_type(&kind, other)),
    };
    found.filter(|n| (min..=max).contains(n)).ok_or_else(|| {
        Problem::new(format!("{} is out of range", shorten(&shown)), accepted(&kind))
    })
}

fn share(value: &DeValue<'_>) -> Result<f64, Problem> {
    let shown = match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => return Err(wrong_type(&Kind::Share, other)),
    };
    let found = shown.parse().ok();
    found.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| {
        Problem::new(format!("{} is out of range", shorten(&shown)), accepted(&Kind::Share))
    })
}

/// The accepted values of a kind, as a hint says them.
pub(crate) fn accepted(kind: &Kind) -> String {
    match kind {
        Kind::Text(_, words) | Kind::Texts(_, words, _) => format!("accepted: {words}"),
        Kind::Number(min, max) => format!("accepted: {min} to {max}"),
        Kind::Size(min, max) => {
            format!("accepted: {} to {}", ByteSize::bytes(*min), ByteSize::bytes(*max))
        }
        Kind::Share => "accepted: 0 to 1, as 0.01".into(),
        Kind::Flag => "accepted: true, false".into(),
        Kind::Labels => "accepted: a table of strings, as { region = \"eu\" }".into(),
        Kind::Routes => "accepted: a list of tables, as [{ path = \"/api\", to = \"api\" }]".into(),
        Kind::Table(keys, _) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("accepted: a table with {}", names.join(", "))
        }
        Kind::Later => String::new(),
    }
}

fn wrong_type(kind: &Kind, found: &DeValue<'_>) -> Problem {
    let expected = match kind {
        Kind::Text(..) => "a string",
        Kind::Texts(..) => "a list of strings",
        Kind::Number(..) => "a whole number",
        Kind::Size(..) => "a size",
        Kind::Share => "a number",
        Kind::Flag => "true or false",
        Kind::Routes => "a list of tables",
        Kind::Labels | Kind::Table(..) | Kind::Later => "a table",
    };
    type_problem(found, expected, accepted(kind))
}

pub(crate) fn type_problem(found: &DeValue<'_>, expected: &str, hint: String) -> Problem {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::new(format!("wrong type: {found} where {expected} is expected"), hint)
}
