//! Datagrams between a client and a workload that are both at this site.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tracing::debug;
use van_model::api::FlowEnd;
use van_mux::{MAX_DATAGRAM, ResetCode};
use van_net::{Connected, Count, Counted, Datagrams, Lost, Meter, NewFlow, Read, Socket};

use crate::local::Open;

/// Datagrams of one direction before the other has its turn.
const BATCH: usize = 32;

thread_local! {
    /// A datagram between two sockets; nothing stays in it.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_DATAGRAM].into());
}

/// Carries a session's datagrams until its client is gone; where nobody listens at the target, the
/// flow goes back to find another for the next datagram.
pub(crate) async fn exchange(flow: NewFlow, connected: Connected, open: Open) {
    let Connected { socket, took, meter: target, target: name, .. } = connected;
    flow.meter.connect.record(took);
    target.connect.record(took);
    let mut at_target = Counted::default();
    at_target.add(target.clone());
    let (Socket::Datagrams(client), Socket::Udp(socket)) = (&flow.socket, socket) else {
        return debug!("a flow of datagrams without its sockets");
    };
    let workload = match UdpSocket::from_std(socket) {
        Ok(workload) => workload,
        Err(error) => return debug!(%error, "workload's socket failed"),
    };
    let mut way = Way { client, workload, meters: [&flow.meter, &target], logged: None };
    if let Some(log) = flow.counted.log() {
        log.reached(&name, took);
        way.logged = Some(log.counts());
    }
    let result = way.carry().await;
    drop(at_target);
    if let Err(error) = result {
        debug!(%error, "nobody takes the flow's datagrams");
        target.datagrams.refused();
        target.errors.add(1);
        flow.counted.ends(FlowEnd::Broken);
        drop(open);
        flow.retry.clone().retry(flow, ResetCode::Refused);
    }
}

/// Both ends and where what passes is counted.
struct Way<'a> {
    client: &'a Datagrams,
    workload: UdpSocket,
    /// Of the service here, and of the connector.
    meters: [&'a Meter; 2],
    logged: Option<(&'a Count, &'a Count)>,
}

impl Way<'_> {
    /// Ends in order when the client is gone; an error means that nobody listens at the workload.
    async fn carry(&self) -> io::Result<()> {
        loop {
            tokio::select! {
                () = self.client.ready() => {
                    if self.there()? {
                        return Ok(());
                    }
                }
                ready = self.workload.readable() => {
                    ready?;
                    self.back()?;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Passes what the client said on. Returns whether the client is gone.
    fn there(&self) -> io::Result<bool> {
        ROOM.with_borrow_mut(|room| {
            for _ in 0..BATCH {
                let count = match self.client.take(Instant::now(), room) {
                    Read::Bytes { count, .. } => count,
                    Read::Blocked => break,
                    Read::End => return Ok(true),
                };
                let [service, target] = self.meters;
                match SockRef::from(&self.workload).send(&room[..count]) {
                    Ok(_) => {
                        for (bytes, datagrams) in [
                            (&service.sent, &service.datagrams.sent),
                            (&target.received, &target.datagrams.received),
                        ] {
                            bytes.add(count as u64);
                            datagrams.add(1);
                        }
                        if let Some((sent, _)) = self.logged {
                            sent.add(count as u64);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        return Err(error);
                    }
                    Err(_) => target.datagrams.lost(Lost::Socket, 1),
                }
            }
            Ok(false)
        })
    }

    /// Passes what the workload answered on.
    fn back(&self) -> io::Result<()> {
        ROOM.with_borrow_mut(|room| {
            for _ in 0..BATCH {
                let count = match self.workload.try_recv(room) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                let [service, target] = self.meters;
                target.sent.add(count as u64);
                target.datagrams.sent.add(1);
                if self.client.answer(&room[..count]) {
                    service.received.add(count as u64);
                    service.datagrams.received.add(1);
                    if let Some((_, received)) = self.logged {
                        received.add(count as u64);
                    }
                }
            }
            Ok(())
        })
    }
}
