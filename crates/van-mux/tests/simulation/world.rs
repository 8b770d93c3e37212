//! Two ends, the network between them and a clock that only this file moves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_model::SiteId;
use van_mux::{Budget, Config, GoAwayReason, Hello, ResetCode, Session, Side, StreamId, VERSION};

use super::end::{Closed, Due, End, place};
use super::flow::{End as FlowEnd, Spec};
use super::pipe::{Network, Pipe};
use super::rng::Rng;

/// The credit that every stream starts with.
pub(crate) const INITIAL: u32 = 65_536;

/// What a script does at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Open(usize, usize),
    Reset(usize, usize),
    GoAway(usize),
    Do(usize, Due),
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) ends: [End; 2],
    pub(crate) budgets: [Arc<Budget>; 2],
    pub(crate) specs: Vec<Spec>,
    /// The stream of each flow once it is open, or `None` for one that could not be.
    pub(crate) streams: Vec<Option<StreamId>>,
    /// Bytes that one end gives its socket at once.
    pub(crate) batch: usize,
    pipes: [Pipe; 2],
    agenda: BinaryHeap<Reverse<(Instant, u64, Action)>>,
    planned: u64,
    rng: Rng,
}

pub(crate) fn hello(site: u8) -> Hello {
    Hello {
        version_min: VERSION,
        version_max: VERSION,
        site: SiteId::from_bytes([site; SiteId::BYTES]),
        replica: 0,
        instance: u64::from(site),
        name: format!("site-{site}"),
        edge: false,
        ephemeral: false,
        software: "test".into(),
        link: 1,
        cost: 1,
        connection: 0,
        initial_credit: INITIAL,
        max_streams: 100_000,
        capabilities: vec![],
        link_name: None,
    }
}

/// The process's budget of each end.
pub(crate) const BUDGET: u64 = 1 << 30;

impl World {
    /// Two sessions that have greeted each other.
    pub(crate) fn new(network: Network, seed: u64) -> Self {
        let now = Instant::now();
        let budgets = [Budget::new(BUDGET), Budget::new(BUDGET)];
        let end = |side| {
            let config = Config::new(budgets[place(side)].clone());
            End::new(Session::new(now, side, hello(place(side) as u8 + 1), &config))
        };
        let ends = [end(Side::Dialler), end(Side::Acceptor)];
        let mut world = Self {
            now,
            start: now,
            ends,
            budgets,
            specs: Vec::new(),
            streams: Vec::new(),
            batch: 65_536,
            pipes: [Pipe::new(now, network), Pipe::new(now, network)],
            agenda: BinaryHeap::new(),
            planned: 0,
            rng: Rng::new(seed),
        };
        world.run(Duration::from_secs(10), |w| w.ends.iter().all(|end| end.peer.is_some()));
        world
    }

    /// Adds a flow that `side` opens after `after`; returns its number.
    pub(crate) fn flow(&mut self, after: Duration, side: Side, spec: Spec) -> usize {
        self.specs.push(spec);
        self.streams.push(None);
        let index = self.specs.len() - 1;
        self.plan(after, Action::Open(place(side), index));
        index
    }

    /// Resets a flow after `after`, if it is open then.
    pub(crate) fn reset(&mut self, after: Duration, side: Side, flow: usize) {
        self.plan(after, Action::Reset(place(side), flow));
    }

    /// Lets a side say GOAWAY after `after`.
    pub(crate) fn go_away(&mut self, after: Duration, side: Side) {
        self.plan(after, Action::GoAway(place(side)));
    }

    fn plan(&mut self, after: Duration, action: Action) {
        self.planned += 1;
        self.agenda.push(Reverse((self.now + after, self.planned, action)));
    }

    /// Runs until `done`, for at most `limit`; returns whether it came to be.
    pub(crate) fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + limit;
        loop {
            self.transmit();
            if done(self) {
                return true;
            }
            let next = self.next_time();
            if next > until {
                self.now = until;
                return false;
            }
            self.now = self.now.max(next);
            self.step();
        }
    }

    /// Runs for a time.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.run(time, |_| false);
    }

    fn next_time(&self) -> Instant {
        let agenda = self.agenda.peek().map(|Reverse((at, ..))| *at);
        let arrivals = self.pipes.iter().filter_map(Pipe::next_arrival);
        let writable = self.ends.iter().zip(&self.pipes);
        let writable =
            writable.filter(|(end, _)| end.session.has_output()).map(|(_, p)| p.writable_at());
        let timeouts = self.ends.iter().map(|end| end.session.next_timeout());
        agenda.into_iter().chain(arrivals).chain(writable).chain(timeouts).min().expect("timeouts")
    }

    fn transmit(&mut self) {
        for (end, pipe) in self.ends.iter_mut().zip(&mut self.pipes) {
            while end.session.has_output() && pipe.writable_at() <= self.now {
                let bytes = end.transmit(self.now, self.batch);
                pipe.write(self.now, &bytes, &mut self.rng);
            }
        }
    }

    fn step(&mut self) {
        let now = self.now;
        for (from, to) in [(0, 1), (1, 0)] {
            while let Some(bytes) = self.pipes[from].read(now) {
                let result = self.ends[to].receive(now, &bytes, &self.specs);
                result.unwrap_or_else(|error| panic!("a correct peer was refused: {error}"));
            }
        }
        while let Some(Reverse((at, _, action))) = self.agenda.peek().copied()
            && at <= now
        {
            self.agenda.pop();
            self.act(action);
        }
        for end in &mut self.ends {
            if end.session.next_timeout() <= now {
                end.session.handle_timeout(now).expect("the peer is never silent");
                assert!(end.session.next_timeout() > now, "a timeout that comes again at once");
            }
        }
        for place in 0..2 {
            for (after, due) in std::mem::take(&mut self.ends[place].due) {
                self.plan(after, Action::Do(place, due));
            }
        }
    }

    fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Open(place, flow) => {
                self.streams[flow] = self.ends[place].open(now, flow, &self.specs[flow]);
            }
            Action::Reset(place, flow) => {
                // A flow whose OPEN is still under way does not exist at its other end.
                let stream = self.streams[flow].filter(|s| self.ends[place].flows.contains_key(s));
                if let Some(stream) = stream {
                    self.ends[place].reset(stream, ResetCode::Gone);
                }
            }
            Action::GoAway(place) => self.ends[place].session.go_away(GoAwayReason::Shutdown),
            Action::Do(place, due) => {
                if let Some(after) = self.ends[place].act(now, due, &self.specs) {
                    self.plan(after, Action::Do(place, due));
                }
            }
        }
    }

    /// Bytes of a flow that came to `side` so far.
    pub(crate) fn received(&self, side: Side, flow: usize) -> u64 {
        let end = &self.ends[place(side)];
        let open = self.streams[flow].and_then(|stream| end.flows.get(&stream));
        open.map(|flow| flow.sink.received)
            .or_else(|| end.closed.get(&flow).map(|closed| closed.received))
            .unwrap_or(0)
    }

    /// How a flow ended at `side`.
    pub(crate) fn closed(&self, side: Side, flow: usize) -> Option<Closed> {
        self.ends[place(side)].closed.get(&flow).copied()
    }

    /// Whether a flow ended in order at both ends.
    pub(crate) fn finished(&self, flow: usize) -> bool {
        self.ends
            .iter()
            .all(|end| end.closed.get(&flow).is_some_and(|c| c.end == FlowEnd::Finished))
    }

    /// Whether nothing is open and nothing is planned.
    pub(crate) fn is_over(&self) -> bool {
        let planned = self.agenda.iter();
        let planned = planned.filter(|Reverse((.., action))| !matches!(action, Action::Do(..)));
        planned.count() == 0
            && self.pipes.iter().all(|pipe| pipe.next_arrival().is_none())
            && self.ends.iter().all(|end| end.flows.is_empty() && end.due.is_empty())
    }
}
