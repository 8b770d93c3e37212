//! Lines about requests and flows for those who watch a service; nothing is made while nobody does.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use van_model::Address;
use van_model::api::TapLine;

/// Lines that wait for one reader; more are dropped and counted.
const WAITING: usize = 256;

/// Readers at once: each costs the data plane a little.
const READERS: usize = 8;

/// Where lines are told, and who listens.
#[derive(Debug, Default)]
pub struct Tap {
    open: AtomicBool,
    readers: Mutex<Vec<Reader>>,
}

#[derive(Debug)]
struct Reader {
    address: Address,
    lines: mpsc::Sender<TapLine>,
    lost: u64,
}

impl Tap {
    /// Whether anybody listens: one load, so that it can be asked for each request.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Begins to tell of a service, until what is returned is dropped; `None`: too many listen.
    pub fn listen(&self, address: Address) -> Option<mpsc::Receiver<TapLine>> {
        let mut readers = self.readers.lock();
        readers.retain(|reader| !reader.lines.is_closed());
        if readers.len() >= READERS {
            return None;
        }
        let (lines, received) = mpsc::channel(WAITING);
        readers.push(Reader { address, lines, lost: 0 });
        self.open.store(true, Ordering::Relaxed);
        Some(received)
    }

    /// Tells those who listen to a service. Never waits.
    pub fn tell(&self, address: &Address, line: &TapLine) {
        let mut readers = self.readers.lock();
        readers.retain_mut(|reader| {
            if reader.lines.is_closed() {
                return false;
            }
            if reader.address == *address || reader.address.as_str() == address.name() {
                reader.take(line);
            }
            true
        });
        self.open.store(!readers.is_empty(), Ordering::Relaxed);
    }
}

impl Reader {
    fn take(&mut self, line: &TapLine) {
        // Room for the word about those that were lost, too.
        if self.lines.capacity() < 2 {
            self.lost += 1;
            return;
        }
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            // There is room: nobody else sends.
            let _ = self.lines.try_send(TapLine::Lost { count: lost });
        }
        let _ = self.lines.try_send(line.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_slow_reader_misses_is_counted_and_who_left_costs_nothing() {
        let tap = Tap::default();
        let web: Address = "web".parse().unwrap();
        assert!(!tap.is_open());
        let mut reader = tap.listen(web.clone()).unwrap();
        let line = TapLine::Lost { count: 0 };
        tap.tell(&"other".parse().unwrap(), &line);
        for _ in 0..WAITING + 9 {
            tap.tell(&web, &line);
        }
        for _ in 0..WAITING - 1 {
            assert_eq!(reader.try_recv().unwrap(), line);
        }
        assert!(reader.try_recv().is_err());
        tap.tell(&web, &line);
        assert_eq!(reader.try_recv().unwrap(), TapLine::Lost { count: 10 });
        assert_eq!(reader.try_recv().unwrap(), line);
        drop(reader);
        assert!(tap.is_open());
        tap.tell(&web, &line);
        assert!(!tap.is_open());
        let all: Vec<_> = (0..READERS).map(|_| tap.listen(web.clone()).unwrap()).collect();
        assert!(tap.listen(web.clone()).is_none());
        drop(all);
        assert!(tap.listen(web).is_some());
    }
}
