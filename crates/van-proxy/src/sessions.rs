//! The clients of a UDP listener by their source address, bounded in number and in time.
//!
//! A source address is easily forged: where room is short, a client that has had an answer stays,
//! and the one that never had and has been quiet for longest goes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the table asks of a session.
pub(crate) trait Session {
    /// When the service last answered.
    fn answered(&self) -> Option<Instant>;

    /// Whether its flow has ended by itself.
    fn is_over(&self) -> bool;
}

#[derive(Debug)]
struct Entry<S> {
    session: S,
    /// Tells it from an earlier one of the same source.
    id: u64,
    heard: Instant,
    /// When it is looked at next.
    due: Instant,
}

impl<S: Session> Entry<S> {
    /// Until when it may be quiet.
    fn deadline(&self, idle: Duration) -> Instant {
        match self.session.answered() {
            Some(answered) => answered.max(self.heard) + idle,
            None => self.heard + idle / 2,
        }
    }
}

/// Sessions by source; dropping one ends its flow.
#[derive(Debug)]
pub(crate) struct Sessions<S> {
    by_source: HashMap<SocketAddr, Entry<S>>,
    /// When each is looked at next.
    due: BTreeSet<(Instant, u64, SocketAddr)>,
    /// Those that had no answer when last looked at, the quiet ones in front.
    unanswered: VecDeque<(Instant, u64, SocketAddr)>,
    most: usize,
    idle: Duration,
    next: u64,
}

impl<S: Session> Sessions<S> {
    /// A table of at most `most` sessions that end after `idle` without a datagram, half of that while
    /// the service has not answered.
    pub(crate) fn new(most: usize, idle: Duration) -> Self {
        let (by_source, due, unanswered) = Default::default();
        Self { by_source, due, unanswered, most, idle, next: 0 }
    }

    /// The session of a source that just sent something.
    pub(crate) fn hear(&mut self, now: Instant, source: SocketAddr) -> Option<&S> {
        if self.by_source.get(&source)?.session.is_over() {
            self.remove(source);
            return None;
        }
        let entry = self.by_source.get_mut(&source)?;
        entry.heard = now;
        Some(&entry.session)
    }

    /// Whether one more session has room where there may be no more than `flows`, too.
    pub(crate) fn has_room(&self, flows: usize) -> bool {
        self.by_source.len() < self.most.min(flows)
    }

    /// Ends the session that has been quiet for longest among those never answered. Returns whether
    /// there was one.
    pub(crate) fn evict(&mut self) -> bool {
        // Each is moved back once at most.
        for _ in 0..self.unanswered.len() {
            let Some((heard, id, source)) = self.unanswered.pop_front() else { return false };
            let Some(entry) = self.by_source.get(&source).filter(|entry| entry.id == id) else {
                continue;
            };
            if entry.session.is_over() {
                self.remove(source);
                return true;
            }
            if entry.session.answered().is_some() {
                continue;
            }
            if entry.heard > heard {
                self.unanswered.push_back((entry.heard, id, source));
                continue;
            }
            self.remove(source);
            return true;
        }
        // All were heard meanwhile: the first of them in the old order.
        let oldest = self.unanswered.pop_front();
        oldest.is_some_and(|(_, _, source)| self.remove(source))
    }

    /// Adds a source's session; there must be room.
    pub(crate) fn insert(&mut self, now: Instant, source: SocketAddr, session: S) {
        self.next += 1;
        let entry = Entry { session, id: self.next, heard: now, due: now + self.idle / 2 };
        self.due.insert((entry.due, entry.id, source));
        self.unanswered.push_back((now, entry.id, source));
        self.by_source.insert(source, entry);
        if self.unanswered.len() > 2 * self.most.max(self.by_source.len()) {
            let by_source = &self.by_source;
            self.unanswered.retain(|(_, id, source)| {
                by_source.get(source).is_some_and(|entry| entry.id == *id)
            });
        }
    }

    /// Ends sessions that have been quiet for too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(due, id, source)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let Some(entry) = self.by_source.get_mut(&source) else { continue };
            let deadline = entry.deadline(self.idle);
            if entry.session.is_over() || deadline <= now {
                self.by_source.remove(&source);
            } else {
                entry.due = deadline;
                self.due.insert((deadline, id, source));
            }
        }
    }

    /// When [`Sessions::expire`] has something to do at the earliest.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, ..)| *due)
    }

    fn remove(&mut self, source: SocketAddr) -> bool {
        let Some(entry) = self.by_source.remove(&source) else { return false };
        self.due.remove(&(entry.due, entry.id, source));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Fake(Rc<Cell<(Option<Instant>, bool)>>);

    impl Session for Fake {
        fn answered(&self) -> Option<Instant> {
            self.0.get().0
        }

        fn is_over(&self) -> bool {
            self.0.get().1
        }
    }

    const IDLE: Duration = Duration::from_secs(60);

    fn source(n: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], n))
    }

    fn add(sessions: &mut Sessions<Fake>, now: Instant, n: u16) -> Fake {
        let fake = Fake::default();
        sessions.insert(now, source(n), fake.clone());
        fake
    }

    #[test]
    fn the_quiet_end_and_the_unanswered_sooner() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(10, IDLE));
        let answered = add(&mut sessions, start, 1);
        add(&mut sessions, start, 2);
        answered.0.set((Some(start + IDLE / 4), false));
        sessions.expire(start + IDLE / 2);
        assert!(sessions.by_source.contains_key(&source(1)));
        assert!(!sessions.by_source.contains_key(&source(2)), "never answered");
        assert_eq!(sessions.next_due(), Some(start + IDLE / 4 + IDLE));
        assert!(sessions.hear(start + IDLE, source(1)).is_some());
        sessions.expire(start + IDLE / 4 + IDLE);
        assert!(sessions.by_source.contains_key(&source(1)), "it was heard");
        sessions.expire(start + 2 * IDLE);
        assert!(sessions.by_source.is_empty() && sessions.next_due().is_none());
    }

    #[test]
    fn forged_sources_push_out_one_another_and_nobody_who_was_answered() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(100, IDLE));
        let known: Vec<_> = (0..50).map(|n| add(&mut sessions, start, n)).collect();
        known.iter().for_each(|fake| fake.0.set((Some(start), false)));
        for n in 1000..21_000 {
            let now = start + Duration::from_micros(n.into());
            assert!(sessions.hear(now, source(n)).is_none());
            if !sessions.has_room(1000) {
                assert!(sessions.evict());
            }
            add(&mut sessions, now, n);
            assert!(sessions.by_source.len() <= 100 && sessions.due.len() <= 100);
            assert!(sessions.unanswered.len() <= 202);
        }
        assert!((0..50).all(|n| sessions.by_source.contains_key(&source(n))));
        assert!(sessions.by_source.contains_key(&source(20_999)), "the latest is in");
    }

    #[test]
    fn where_all_are_answered_none_goes() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(2, IDLE));
        for n in 0..2 {
            add(&mut sessions, start, n).0.set((Some(start), false));
        }
        assert!(!sessions.has_room(1000) && !sessions.evict());
        assert_eq!(sessions.by_source.len(), 2);
    }

    #[test]
    fn who_is_over_or_heard_lately() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(3, IDLE));
        let later = start + Duration::from_secs(1);
        add(&mut sessions, start, 1);
        add(&mut sessions, start, 2);
        assert!(sessions.hear(later, source(1)).is_some());
        assert!(sessions.evict());
        assert!(sessions.by_source.contains_key(&source(1)), "2 was quiet for longer");
        let over = add(&mut sessions, start, 3);
        over.0.set((Some(later), true));
        assert!(sessions.hear(later, source(3)).is_none(), "its flow has ended");
        assert_eq!(sessions.by_source.len(), 1);
    }
}
