//! Ports of vand's pods behind the Services that it makes: the same in every pod and over restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Ports that are given to Services.
const RANGE: std::ops::RangeInclusive<u16> = 20_000..=39_999;

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) service: String,
    pub(crate) port: u16,
    pub(crate) is_udp: bool,
}

/// Gives each place a port of the pods. `known`: what Services say that are there already; they are the
/// memory of this. Places that find none left are not in the answer.
pub(crate) fn assign(
    wanted: &BTreeSet<Place>,
    known: &BTreeMap<Place, u16>,
) -> BTreeMap<Place, u16> {
    let mut given = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for place in wanted {
        if let Some(port) = known.get(place).filter(|port| RANGE.contains(port))
            && taken.insert(*port)
        {
            given.insert(place.clone(), *port);
        }
    }
    let count = u64::from(RANGE.end() - RANGE.start()) + 1;
    for place in wanted {
        if given.contains_key(place) {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        let first = hasher.finish() % count;
        let at = |n: u64| RANGE.start() + u16::try_from((first + n) % count).unwrap_or(0);
        if let Some(port) = (0..count).map(at).find(|port| taken.insert(*port)) {
            given.insert(place.clone(), port);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(service: &str, port: u16) -> Place {
        Place { service: service.into(), port, is_udp: false }
    }

    #[test]
    fn ports_stay_and_no_two_places_share_one() {
        let wanted: BTreeSet<_> = (1..2000).map(|n| place("a", n)).collect();
        let first = assign(&wanted, &BTreeMap::new());
        assert_eq!(first.len(), wanted.len());
        assert_eq!(first.values().collect::<BTreeSet<_>>().len(), wanted.len());
        let mut more = wanted;
        more.extend((1..2000).map(|n| place("0", n)));
        let second = assign(&more, &first);
        assert!(first.iter().all(|(place, port)| second[place] == *port), "a port moved");
        assert_eq!(assign(&more, &first), second);
    }

    #[test]
    fn what_is_known_may_be_nonsense() {
        let wanted = BTreeSet::from([place("a", 80), place("b", 80)]);
        let known = BTreeMap::from([(place("a", 80), 20_001), (place("b", 80), 20_001)]);
        let given = assign(&wanted, &known);
        assert_ne!(given[&place("a", 80)], given[&place("b", 80)]);
        let known = BTreeMap::from([(place("a", 80), 22)]);
        assert!(RANGE.contains(&assign(&wanted, &known)[&place("a", 80)]));
    }
}
