//! Penalties of sites that failed, which decay.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use van_model::{Address, SiteId};

/// What one failure adds, in units of cost: more than most paths cost, so that any other target is
/// tried first.
const STEP: u32 = 100;

/// The most that failures add up to.
const MOST: u32 = 1000;

/// Time in which a penalty decays to nothing.
const DECAY: Duration = Duration::from_secs(10);

/// Penalties kept at once; beyond it, failures of further targets are not remembered.
const KEPT: usize = 4096;

/// What failed lately. The lock is taken only while there is something to find.
#[derive(Debug, Default)]
pub(crate) struct Penalties {
    any: AtomicBool,
    marks: Mutex<BTreeMap<(SiteId, Address), Mark>>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    height: u32,
    since: Instant,
}

impl Mark {
    fn at(&self, now: Instant) -> u32 {
        let left = DECAY.saturating_sub(now.saturating_duration_since(self.since));
        (f64::from(self.height) * left.as_secs_f64() / DECAY.as_secs_f64()) as u32
    }
}

impl Penalties {
    /// Counts a failure of `site` to serve `address`.
    pub(crate) fn raise(&self, now: Instant, site: SiteId, address: &Address) {
        let mut marks = self.marks.lock();
        if marks.len() >= KEPT {
            marks.retain(|_, mark| mark.at(now) > 0);
        }
        let key = (site, address.clone());
        if marks.len() >= KEPT && !marks.contains_key(&key) {
            return;
        }
        let mark = marks.entry(key).or_insert(Mark { height: 0, since: now });
        *mark = Mark { height: (mark.at(now) + STEP).min(MOST), since: now };
        self.any.store(true, Ordering::Relaxed);
    }

    /// What stands against `site` serving `address`.
    pub(crate) fn of(&self, now: Instant, site: SiteId, address: &Address) -> u32 {
        if !self.any.load(Ordering::Relaxed) {
            return 0;
        }
        let mut marks = self.marks.lock();
        let key = (site, address.clone());
        let penalty = marks.get(&key).map_or(0, |mark| mark.at(now));
        if penalty == 0 {
            marks.remove(&key);
            self.any.store(!marks.is_empty(), Ordering::Relaxed);
        }
        penalty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_to_its_bound_and_decays() {
        let (penalties, start) = (Penalties::default(), Instant::now());
        let (site, address) = (SiteId::from_bytes([1; 20]), "db".parse().unwrap());
        assert_eq!(penalties.of(start, site, &address), 0);
        penalties.raise(start, site, &address);
        assert_eq!(penalties.of(start, site, &address), STEP);
        assert_eq!(penalties.of(start + DECAY / 2, site, &address), STEP / 2);
        assert_eq!(penalties.of(start, SiteId::from_bytes([2; 20]), &address), 0);
        (0..100).for_each(|_| penalties.raise(start, site, &address));
        assert_eq!(penalties.of(start, site, &address), MOST);
        assert_eq!(penalties.of(start + DECAY, site, &address), 0);
        assert!(!penalties.any.load(Ordering::Relaxed), "nothing is left to look for");
    }

    #[test]
    fn is_bounded() {
        let (penalties, start) = (Penalties::default(), Instant::now());
        let site = SiteId::from_bytes([1; 20]);
        for n in 0..2 * KEPT {
            penalties.raise(start, site, &format!("s{n}").parse().unwrap());
        }
        assert_eq!(penalties.marks.lock().len(), KEPT);
        penalties.raise(start + DECAY, site, &"late".parse().unwrap());
        assert_eq!(penalties.marks.lock().len(), 1, "what decayed made room");
    }
}
