//! A flow of datagrams: nothing is kept for it but what comes before its workload is connected.

use std::io;
use std::time::Instant;

use super::Flow;
use crate::datagrams::LATE;
use crate::meter::Lost;
use crate::socket::Read;

/// Bytes that an egress keeps until the workload is connected, which takes a name's resolution at most.
const MOST_EARLY: usize = 128 * 1024;

/// What a flow of datagrams has beside its socket.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// What came before the workload was connected.
    early: Vec<Vec<u8>>,
    early_bytes: usize,
    /// Since when the socket can be read and has not been.
    ready: Option<Instant>,
}

impl Flow {
    /// Whether it carries datagrams.
    pub(crate) fn carries_datagrams(&self) -> bool {
        self.exchange.is_some()
    }

    /// Its socket can be read.
    pub(crate) fn is_ready(&mut self, now: Instant) {
        if let Some(exchange) = &mut self.exchange {
            exchange.ready.get_or_insert(now);
        }
    }

    /// Takes the next datagram from the socket; what waited there for too long is dropped.
    pub(crate) fn read_datagram(&mut self, now: Instant, room: &mut [u8]) -> io::Result<Read> {
        if self.ended {
            return Ok(Read::End);
        }
        let (Some(socket), Some(exchange)) = (&self.socket, &mut self.exchange) else {
            return Ok(Read::Blocked);
        };
        let ready = exchange.ready.take();
        if ready.is_some_and(|since| now.saturating_duration_since(since) > LATE) {
            // The link did not take anything meanwhile. The kernel does not tell when each came.
            let mut late = 0;
            let read = loop {
                match socket.receive_late(room)? {
                    Read::Bytes { .. } => late += 1,
                    read => break read,
                }
            };
            if let Some(meter) = &self.meter {
                meter.datagrams.lost(Lost::Late, late);
            }
            if read == Read::Blocked && late > 0 {
                return Ok(read);
            }
        }
        let read = socket.receive(now, room)?;
        self.ended = read == Read::End;
        if let Read::Bytes { count, .. } = read {
            self.sent = true;
            self.count_from_socket(count);
            if let Some(meter) = &self.meter {
                meter.datagrams.sent.add(1);
            }
        }
        Ok(read)
    }

    /// Sends a datagram from the network on; an error means that nobody listens there.
    pub(crate) fn deliver_datagram(&mut self, datagram: &[u8]) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            let Some(exchange) = &mut self.exchange else { return Ok(()) };
            if exchange.early_bytes + datagram.len() <= MOST_EARLY {
                // An empty one costs as well.
                exchange.early_bytes += datagram.len().max(64);
                exchange.early.push(datagram.into());
            }
            return Ok(());
        };
        let sent = socket.send(datagram)?;
        if sent {
            self.count_for_socket(datagram.len());
        }
        if let Some(meter) = &self.meter {
            match sent {
                true => meter.datagrams.received.add(1),
                false => meter.datagrams.lost(Lost::Socket, 1),
            }
        }
        Ok(())
    }

    /// Nobody listens at the workload's place.
    pub(crate) fn was_refused(&self) {
        if let Some(meter) = &self.meter {
            meter.datagrams.refused();
        }
    }

    /// The workload is connected: sends on what came before.
    pub(super) fn send_early(&mut self) -> io::Result<()> {
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        let early = std::mem::take(&mut exchange.early);
        exchange.early_bytes = 0;
        early.into_iter().try_for_each(|datagram| self.deliver_datagram(&datagram))
    }
}
