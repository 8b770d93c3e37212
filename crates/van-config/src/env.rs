//! The environment as a layer: `VAND_SECTION__KEY`.

use toml::Spanned;
use toml::de::DeValue;

use crate::layer::Layer;
use crate::mistake::{Mistake, Place, Problem};
use crate::schema::{self, Key, Kind, SECTIONS, Section};
use crate::text::shorten;
use crate::value;

const PREFIX: &str = "VAND_";
const BETWEEN: &str = "__";

/// Reads the variables of the form `VAND_SECTION__KEY`; all others are somebody else's.
pub(crate) fn read(env: &[(String, String)], mistakes: &mut Vec<Mistake>) -> Layer {
    let mut layer = Layer::default();
    // In name order, so that mistakes don't depend on the order of the process's environment.
    let mut ours: Vec<&(String, String)> =
        env.iter().filter(|(name, _)| name.starts_with(PREFIX) && name.contains(BETWEEN)).collect();
    ours.sort();
    for (name, text) in ours {
        let place = Place::Env { name: name.clone() };
        match find(name) {
            Ok((section, key)) => {
                let full = format!("{}.{}", section.name, key.name);
                layer.mark(section.name, place.clone());
                layer.mark(&full, place.clone());
                match parse(key, text) {
                    Ok(value) => {
                        if let Some(labels) = value.as_dict() {
                            for label in labels.keys() {
                                layer.mark(&format!("{full}.{label}"), place.clone());
                            }
                        }
                        layer.put(&[section.name, key.name], value);
                    }
                    Err(problems) => mistakes.extend(
                        problems.into_iter().map(|p| Mistake::new(place.clone(), &full, p)),
                    ),
                }
            }
            Err(problem) => mistakes.push(Mistake::new(place, "", problem)),
        }
    }
    layer
}

fn variable(section: &Section, key: &Key) -> String {
    format!("{PREFIX}{}{BETWEEN}{}", section.name, key.name).to_uppercase()
}

fn find(name: &str) -> Result<(&'static Section, &'static Key), Problem> {
    let settable = || SECTIONS.into_iter().filter(|section| !section.list);
    let all = || settable().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
    if let Some(found) = all().find(|(section, key)| variable(section, key) == name) {
        return Ok(found);
    }
    let list = SECTIONS.into_iter().find(|section| {
        let prefix = format!("{PREFIX}{}{BETWEEN}", section.name).to_uppercase();
        section.list && name.starts_with(&prefix)
    });
    if let Some(list) = list {
        let what = format!("{} can't be set by the environment", list.header());
        return Err(Problem::new(what, "write it into vand.toml or a file in conf.d"));
    }
    let names: Vec<String> = all().map(|(section, key)| variable(section, key)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(schema::unknown("variable", name, &names, &names))
}

/// Reads a variable's text: as it is where the key takes a string, else as TOML.
fn parse(key: &Key, text: &str) -> Result<figment::value::Value, Vec<Problem>> {
    let plain = || Spanned::new(0..text.len(), DeValue::String(text.into()));
    let value = match key.kind {
        Kind::Text(..) | Kind::Later => plain(),
        Kind::Size(..) if DeValue::parse(text).is_err() => plain(),
        _ => DeValue::parse(text).map_err(|_| {
            let what = format!("{:?} is no TOML value", shorten(text));
            vec![Problem::new(what, value::accepted(&key.kind))]
        })?,
    };
    value::read(&key.kind, &value, None)
        .map_err(|flaws| flaws.into_iter().map(|flaw| flaw.problem).collect())
}
