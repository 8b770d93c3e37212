//! The checked values of one source and the place of each.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider, Source};

use crate::mistake::Place;

/// One entry of a list section, in the order in which the source gives them.
pub(crate) struct Entry {
    pub(crate) section: &'static str,
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) place: Place,
}

/// What one file, or the environment, says.
///
/// Entries of list sections are kept by their names, so that figment can merge every layer as
/// nested tables; `entries` keeps their order.
#[derive(Default)]
pub(crate) struct Layer {
    values: Dict,
    places: BTreeMap<String, Place>,
    pub(crate) entries: Vec<Entry>,
    /// Whether parts of the source could not be read, so that what is missing is not known.
    pub(crate) broken: bool,
}

impl Layer {
    /// A layer of a source of which parts, or all, could not be read.
    pub(crate) fn of(broken: bool) -> Self {
        Self { broken, ..Self::default() }
    }

    /// Notes that a key is set, also where its value is of no use.
    pub(crate) fn mark(&mut self, key: &str, place: Place) {
        self.places.entry(key.into()).or_insert(place);
    }

    /// Keeps a checked value under a path of nested tables.
    pub(crate) fn put(&mut self, path: &[&str], value: Value) {
        put(&mut self.values, path, value);
    }

    /// Where a key is set.
    pub(crate) fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    /// The layer as figment takes it; its number comes back in the values' metadata.
    pub(crate) fn numbered(&self, number: usize) -> Numbered<'_> {
        Numbered { layer: self, number }
    }
}

fn put(dict: &mut Dict, path: &[&str], value: Value) {
    let Some((head, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        dict.insert((*head).into(), value);
        return;
    }
    let inner = dict.entry((*head).into()).or_insert_with(|| Dict::new().into());
    if let Value::Dict(_, inner) = inner {
        put(inner, rest, value);
    }
}

pub(crate) struct Numbered<'a> {
    layer: &'a Layer,
    number: usize,
}

/// The number of the layer from which a value with this metadata came.
pub(crate) fn number(metadata: &Metadata) -> Option<usize> {
    metadata.source.as_ref()?.custom()?.parse().ok()
}

impl Provider for Numbered<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("layer").source(Source::Custom(self.number.to_string()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.layer.values.clone()))
    }
}
