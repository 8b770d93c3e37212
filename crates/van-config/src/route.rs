//! `routes` of a `[[listener]]`: which requests go where.

use std::ops::Range;

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use van_model::{Protocol, RouteSpec, RouteTarget, parse_duration};

use crate::mistake::Problem;
use crate::schema;
use crate::text::{parsed, shorten};
use crate::value::{Flaw, type_problem};

/// What a key of a route holds.
#[derive(Clone, Copy)]
enum Field {
    Text,
    /// A duration, which the model has in milliseconds.
    Time,
    /// A table of strings; whether its keys are names of header fields, which have no case.
    Strings(bool),
    /// A list of names of header fields.
    Names,
    /// One address or several.
    To,
}

const KEYS: [(&str, Field); 12] = [
    ("host", Field::Text),
    ("path", Field::Text),
    ("path_exact", Field::Text),
    ("method", Field::Text),
    ("headers", Field::Strings(true)),
    ("query", Field::Strings(false)),
    ("to", Field::To),
    ("rewrite_host", Field::Text),
    ("rewrite_path", Field::Text),
    ("set_headers", Field::Strings(true)),
    ("remove_headers", Field::Names),
    ("timeout", Field::Time),
];

const TO: &str = "accepted: to = \"ADDRESS\", [\"ADDRESS=WEIGHT\", …] or \
                  [{ address = \"ADDRESS\", weight = 90 }, …]";

/// Reads the list; each flaw is told, and only a list without any is given.
pub(crate) fn read(array: &DeArray<'_>) -> Result<Value, Vec<Flaw>> {
    let mut found: Vec<Value> = Vec::new();
    let mut flaws = Vec::new();
    for (n, item) in array.iter().enumerate() {
        let before = flaws.len();
        let route = match item.get_ref() {
            DeValue::Table(table) => route(table, item.span(), &mut flaws),
            other => {
                let hint = "write { path = \"/api\", to = \"api\" }".into();
                flaws.push(Flaw {
                    span: item.span(),
                    problem: type_problem(other, "a table", hint),
                });
                continue;
            }
        };
        for flaw in &mut flaws[before..] {
            flaw.problem.what = format!("route {}: {}", n + 1, flaw.problem.what);
        }
        found.push(route.into());
    }
    if flaws.is_empty() { Ok(Value::from(found)) } else { Err(flaws) }
}

fn route(table: &DeTable<'_>, span: Range<usize>, flaws: &mut Vec<Flaw>) -> Dict {
    let mut route = Dict::new();
    let before = flaws.len();
    for (name, value) in table {
        let Some((key, field)) = KEYS.iter().find(|(key, _)| *key == name.get_ref()) else {
            let keys = KEYS.map(|(key, _)| key);
            let problem = schema::unknown("key", name.get_ref(), &keys, &keys);
            flaws.push(Flaw { span: name.span(), problem });
            continue;
        };
        match read_field(*field, value.get_ref()) {
            Ok(value) => {
                let key = if *key == "timeout" { "timeout_ms" } else { key };
                drop(route.insert(key.into(), value));
            }
            Err(mut problem) => {
                problem.what = format!("{key}: {}", problem.what);
                flaws.push(Flaw { span: value.span(), problem });
            }
        }
    }
    if flaws.len() > before {
        return route;
    }
    // What the model judges; the protocol's own rules follow once it is known.
    let judged = Value::from(route.clone()).deserialize::<RouteSpec>();
    let (key, what) = match judged {
        Ok(spec) => match spec.check(Protocol::Http) {
            Ok(()) => return route,
            Err(error) => (error.key, error.to_string()),
        },
        Err(error) => (
            KEYS.iter().find(|(key, _)| error.path.iter().any(|p| p == key)).map_or("", |k| k.0),
            format!("{}: {}", error.path.join("."), error.kind),
        ),
    };
    let span = table.get(key).map_or(span, |value| value.span());
    flaws.push(Flaw { span, problem: Problem::plain(what) });
    route
}

fn read_field(field: Field, value: &DeValue<'_>) -> Result<Value, Problem> {
    match (field, value) {
        (Field::Text, DeValue::String(text)) => Ok(text.as_ref().into()),
        (Field::Time, DeValue::String(text)) => time(text),
        (Field::Strings(fold), DeValue::Table(table)) => strings(fold, table),
        (Field::Names, DeValue::Array(names)) => {
            let names = names.iter().map(|name| string(name.get_ref(), "a string"));
            let names = names.map(|name| Ok(name?.to_ascii_lowercase()));
            Ok(names.collect::<Result<Vec<String>, Problem>>()?.into())
        }
        (Field::To, DeValue::Array(several)) => {
            let each = several.iter().map(target).collect::<Result<Vec<String>, _>>()?;
            Ok(each.into())
        }
        (Field::To, DeValue::String(text)) => Ok(vec![parsed::<RouteTarget>(text)?].into()),
        (Field::Text | Field::Time, other) => Err(type_problem(other, "a string", String::new())),
        (Field::Strings(_), other) => Err(type_problem(other, "a table of strings", String::new())),
        (Field::Names, other) => Err(type_problem(other, "a list of strings", String::new())),
        (Field::To, other) => Err(type_problem(other, "an address or a list", TO.into())),
    }
}

fn string<'a>(value: &'a DeValue<'_>, wanted: &str) -> Result<&'a str, Problem> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(type_problem(other, wanted, "write it in quotes".into())),
    }
}

fn time(text: &str) -> Result<Value, Problem> {
    let (least, most) = RouteSpec::TIMEOUT;
    let ms = parse_duration(text).ok().and_then(|time| u64::try_from(time.as_millis()).ok());
    ms.filter(|ms| (least..=most).contains(ms)).map(Value::from).ok_or_else(|| {
        let what = format!("{:?} can't be used", shorten(text));
        Problem::new(what, "accepted: a duration from 1ms to 1h, as \"30s\"")
    })
}

fn strings(fold: bool, table: &DeTable<'_>) -> Result<Value, Problem> {
    let mut found = Dict::new();
    for (name, value) in table {
        let text = string(value.get_ref(), "a string")?;
        let name =
            if fold { name.get_ref().to_ascii_lowercase() } else { name.get_ref().to_string() };
        if found.insert(name.clone(), text.into()).is_some() {
            return Err(Problem::plain(format!("{:?} stands there twice", shorten(&name))));
        }
    }
    Ok(found.into())
}

fn target(item: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    let table = match item.get_ref() {
        DeValue::String(text) => return parsed::<RouteTarget>(text),
        DeValue::Table(table) => table,
        other => return Err(type_problem(other, "an address", TO.into())),
    };
    let (mut address, mut weight) = (None, 1);
    for (name, value) in table {
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("address", DeValue::String(text)) => address = Some(text.as_ref()),
            ("weight", DeValue::Integer(number)) => {
                let found = u16::from_str_radix(number.as_str(), number.radix());
                weight = found.map_err(|_| {
                    Problem::new(format!("{number} is no weight"), "accepted: 0 to 65535")
                })?;
            }
            ("address", other) => return Err(type_problem(other, "a string", TO.into())),
            ("weight", other) => return Err(type_problem(other, "a whole number", TO.into())),
            (other, _) => {
                return Err(schema::unknown(
                    "key",
                    other,
                    &["address", "weight"],
                    &["address", "weight"],
                ));
            }
        }
    }
    let address = address.ok_or_else(|| Problem::new("an address is missing", TO))?;
    let address = address.parse::<van_model::Address>().map_err(Problem::plain)?;
    Ok(RouteTarget { address, weight }.to_string())
}
