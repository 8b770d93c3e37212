//! Two sessions driven by events: each byte of each stream arrives, in order, datagrams arrive whole, and all ends.
//!
//! The oracle is the simulation's (`crates/van-mux/tests/simulation`). Events are read by hand, one
//! byte for the choice and the next for its arguments, so that a corpus file stays what it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use van_model::SiteId;
use van_mux::{
    Budget, Config, DATAGRAMS, GoAwayReason, Hello, MAX_DATAGRAM, Open, ResetCode, Session, Side,
    StreamId, VERSION,
};

use super::end::{Due, End};
use super::flow::{End as FlowEnd, Half, Reader, Spec, Supply};

const BUDGET: u64 = 1 << 22;

/// More would take long and show nothing new.
const MAX_FLOWS: usize = 64;

struct Pair {
    now: Instant,
    ends: [End; 2],
    wires: [Vec<u8>; 2],
    specs: Vec<Spec>,
    /// Who opened, and whether it was ended by an event or may be refused.
    flows: Vec<(usize, bool)>,
    /// Datagrams on their way from each end, and who opened their stream.
    sent: [VecDeque<(StreamId, Vec<u8>)>; 2],
    exchanges: Vec<(usize, StreamId)>,
    going: bool,
}

pub(crate) fn run(data: &[u8]) {
    let now = Instant::now();
    let budgets = [Budget::new(BUDGET), Budget::new(BUDGET)];
    let end = |i: usize, side| {
        let config = Config::new(budgets[i].clone());
        End::new(Session::new(now, side, hello(i as u8), &config))
    };
    let ends = [end(0, Side::Dialler), end(1, Side::Acceptor)];
    let wires = [Vec::new(), Vec::new()];
    let mut pair = Pair {
        now,
        ends,
        wires,
        specs: Vec::new(),
        flows: Vec::new(),
        sent: Default::default(),
        exchanges: Vec::new(),
        going: false,
    };
    for side in [0, 1] {
        pair.transmit(side, 0);
        pair.deliver(side, usize::MAX);
    }
    let mut bytes = data.iter().copied();
    while let Some(choice) = bytes.next() {
        let mut next = || bytes.next().unwrap_or(0);
        let side = usize::from(choice & 1);
        if choice >> 5 == 7 {
            match choice & 2 {
                0 => pair.exchange(side),
                _ => pair.datagram(side, [next(), next(), next()]),
            }
            continue;
        }
        match (choice >> 1) % 8 {
            0 => pair.open(side, [next(), next(), next(), next()]),
            1 => pair.transmit(side, usize::from(next()) << 8),
            2 => pair.deliver(side, 1 << (next() % 18)),
            3 => pair.reset(side, next()),
            4 => pair.now += Duration::from_millis(next().into()),
            5 => pair.act(side, next()),
            6 => pair.ends[side].session.send_route(&vec![1; usize::from(next()) * 300]),
            _ => {
                pair.going = true;
                pair.ends[side].session.go_away(GoAwayReason::Shutdown);
            }
        }
    }
    pair.settle();
    pair.check();
    drop(pair);
    assert!(budgets.iter().all(|budget| budget.left() == BUDGET), "a budget is short");
}

impl Pair {
    fn open(&mut self, side: usize, [there, back, kind, refusal]: [u8; 4]) {
        if self.specs.len() >= MAX_FLOWS {
            return;
        }
        let half = |bytes: u8, kind: u8| {
            let bytes = u64::from(bytes) * u64::from(bytes) * 3;
            let period = Duration::from_millis(5);
            let step = 1 + bytes / 7;
            let supply = match kind & 1 {
                0 => Supply::AtOnce,
                _ => Supply::Steps { period, bytes: step },
            };
            let reader = match kind & 2 {
                0 => Reader::Fast,
                _ => Reader::Slow { period, bytes: step },
            };
            Half { bytes, supply, reader }
        };
        let mut spec = Spec::new(half(there, kind), half(back, kind >> 2));
        if refusal & 7 == 7 {
            spec.answer.1 = Err(ResetCode::Refused);
        }
        self.specs.push(spec);
        let opened = self.ends[side].open(self.now, self.specs.len() - 1, &spec);
        if opened.is_some() {
            self.flows.push((side, spec.answer.1.is_err() || self.going));
        } else {
            assert!(self.going, "a session that goes on takes streams");
            self.specs.pop();
        }
    }

    fn transmit(&mut self, side: usize, max: usize) {
        if self.ends[side].session.has_output() {
            let bytes = self.ends[side].transmit(self.now, max);
            self.wires[side].extend_from_slice(&bytes);
        }
    }

    fn deliver(&mut self, from: usize, max: usize) {
        let rest = self.wires[from].split_off(max.min(self.wires[from].len()));
        let bytes = std::mem::replace(&mut self.wires[from], rest);
        let result = self.ends[1 - from].receive(self.now, &bytes, &self.specs);
        result.expect("a correct peer is not refused");
        for (stream, datagram) in std::mem::take(&mut self.ends[1 - from].datagrams) {
            // Those of streams that are over were passed over.
            let arrived =
                std::iter::from_fn(|| self.sent[from].pop_front()).find(|s| s.0 == stream);
            let (_, sent) = arrived.expect("a datagram that was never sent");
            assert!(sent == datagram, "a datagram of {} bytes is another", sent.len());
        }
    }

    /// Opens a stream of datagrams.
    fn exchange(&mut self, side: usize) {
        if self.exchanges.len() >= MAX_FLOWS {
            return;
        }
        let open = Open::datagrams("dns".parse().expect("an address"), ([192, 0, 2, 1], 53).into());
        match self.ends[side].session.open(self.now, &open) {
            Ok(stream) => {
                self.ends[side].exchanges.insert(stream, false);
                self.exchanges.push((side, stream));
            }
            Err(_) => assert!(self.going, "a session that goes on takes streams"),
        }
    }

    /// Sends a datagram over one of the streams that were accepted, or ends the stream.
    fn datagram(&mut self, side: usize, [which, size, fill]: [u8; 3]) {
        let end = &mut self.ends[side];
        let open: Vec<_> =
            end.exchanges.iter().filter(|(_, ready)| **ready).map(|(s, _)| *s).collect();
        let Some(nth) = usize::from(which).checked_rem(open.len()) else { return };
        let stream = open[nth];
        if fill == 0 {
            end.session.reset(stream, ResetCode::Gone);
            end.exchanges.remove(&stream);
            return;
        }
        let datagram = vec![fill; (usize::from(size) * 257).min(MAX_DATAGRAM)];
        // What opens or accepts the stream goes first.
        end.session.take_control(&mut self.wires[side]);
        for (header, part) in Session::datagram_frames(stream, &datagram) {
            self.wires[side].extend_from_slice(&header);
            self.wires[side].extend_from_slice(part);
        }
        self.sent[side].push_back((stream, datagram));
    }

    fn reset(&mut self, side: usize, which: u8) {
        let flows = &self.ends[side].flows;
        let Some(nth) = usize::from(which).checked_rem(flows.len()) else { return };
        let (stream, flow) = flows.iter().nth(nth).expect("within the number of flows");
        let (stream, index) = (*stream, flow.index);
        self.flows[index].1 = true;
        self.ends[side].reset(stream, ResetCode::Gone);
    }

    /// Does one of the things that are due, whenever that is.
    fn act(&mut self, side: usize, which: u8) {
        let due = &mut self.ends[side].due;
        let Some(nth) = usize::from(which).checked_rem(due.len()) else { return };
        let (_, due) = due.swap_remove(nth);
        self.perform(side, due);
    }

    fn perform(&mut self, side: usize, due: Due) {
        let end = &mut self.ends[side];
        if let Some(after) = end.act(self.now, due, &self.specs) {
            end.due.push((after, due));
        }
    }

    /// Lets all go on until nothing does.
    fn settle(&mut self) {
        for (side, stream) in std::mem::take(&mut self.exchanges) {
            if self.ends[side].exchanges.remove(&stream).is_some() {
                self.ends[side].session.reset(stream, ResetCode::Gone);
            }
        }
        for _ in 0..10_000 {
            self.now += Duration::from_millis(1);
            for side in [0, 1] {
                for (_, due) in std::mem::take(&mut self.ends[side].due) {
                    self.perform(side, due);
                }
                self.transmit(side, 1 << 20);
                self.deliver(side, usize::MAX);
            }
            if self.ends.iter().all(|end| end.flows.is_empty() && !end.session.has_output()) {
                break;
            }
        }
    }

    fn check(&self) {
        for (index, (opener, may_be_cut)) in self.flows.iter().enumerate() {
            let closed = self.ends[*opener].closed.get(&index).expect("a flow never ended");
            let there = self.ends[1 - opener].closed.get(&index);
            if !may_be_cut && !self.going {
                assert_eq!(closed.end, FlowEnd::Finished, "flow {index} was cut");
                let there = there.expect("the other end is over too");
                assert_eq!(there.end, FlowEnd::Finished, "flow {index} was cut there");
                assert_eq!(there.received, self.specs[index].there.bytes);
                assert_eq!(closed.received, self.specs[index].back.bytes);
            }
        }
        for end in &self.ends {
            assert!(end.flows.is_empty(), "a flow goes on for ever");
            assert!(end.exchanges.is_empty(), "a stream of datagrams goes on for ever");
            assert_eq!(end.session.streams(), 0, "the session keeps what is over");
        }
    }
}

fn hello(i: u8) -> Hello {
    Hello {
        version_min: VERSION,
        version_max: VERSION,
        site: SiteId::from_bytes([i; SiteId::BYTES]),
        replica: 0,
        instance: i.into(),
        name: "site".into(),
        edge: false,
        ephemeral: false,
        software: "fuzz".into(),
        link: 1,
        cost: 1,
        connection: 0,
        initial_credit: 8192,
        max_streams: 1000,
        capabilities: vec![DATAGRAMS.into()],
        link_name: None,
    }
}
