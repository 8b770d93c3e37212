//! The server: questions over UDP and TCP, answers from the newest zone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Record};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::MessageResponseBuilder;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::zone::{Answer, Zone};

/// A TCP client that says nothing for this long is let go.
const TCP_IDLE: Duration = Duration::from_secs(5);

/// Answers that wait for a slow TCP client.
const TCP_ANSWERS: usize = 16;

const BACKLOG: i32 = 64;

/// Bytes of questions that wait while the runtime is busy.
const UDP_BUFFER: usize = 1 << 20;

/// The longest datagram that is asked for: it passes every network in one piece (DNS flag day 2020).
const MAX_DATAGRAM: u16 = 1232;

/// Why no questions can be taken at an address.
#[derive(Debug, Error)]
#[error("the name server can't listen at {place}: {error}")]
pub struct DnsError {
    /// Where.
    pub place: SocketAddr,
    /// Why not.
    #[source]
    pub error: std::io::Error,
}

impl DnsError {
    /// Whether another program listens there.
    pub fn is_in_use(&self) -> bool {
        self.error.kind() == std::io::ErrorKind::AddrInUse
    }
}

/// A running name server; dropping it ends it.
#[derive(Debug)]
pub struct DnsServer {
    zone: Arc<ArcSwap<Zone>>,
    place: SocketAddr,
    stop: CancellationToken,
}

struct Handler(Arc<ArcSwap<Zone>>);

impl DnsServer {
    /// Listens at a place over UDP and TCP, and answers from `zone` until another is published.
    /// Must be called within a runtime; the caller spawns the work that is returned.
    ///
    /// # Errors
    /// The place is taken, is none of this host's, or its port needs a right.
    pub fn start(
        place: SocketAddr,
        zone: Zone,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), DnsError> {
        let failed = |error| DnsError { place, error };
        let udp = bind(place, Type::DGRAM, Protocol::UDP).map_err(failed)?;
        let place = udp.local_addr().ok().and_then(|a| a.as_socket()).unwrap_or(place);
        let tcp = bind(place, Type::STREAM, Protocol::TCP).map_err(failed)?;
        tcp.listen(BACKLOG).map_err(failed)?;
        let udp = UdpSocket::from_std(udp.into()).map_err(failed)?;
        let tcp = TcpListener::from_std(tcp.into()).map_err(failed)?;
        let zone = Arc::new(ArcSwap::from_pointee(zone));
        let mut server = Server::new(Handler(zone.clone()));
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_ANSWERS);
        let stop = server.shutdown_token().clone();
        let work = async move {
            if let Err(error) = server.block_until_done().await {
                tracing::warn!(%error, %place, "the name server ended");
            }
        };
        Ok((Self { zone, place, stop }, work))
    }

    /// Answers from this zone from now on.
    pub fn publish(&self, zone: Zone) {
        self.zone.store(Arc::new(zone));
    }

    /// Where it listens.
    pub fn place(&self) -> SocketAddr {
        self.place
    }

    /// How many services it has names for.
    pub fn names(&self) -> usize {
        self.zone.load().len()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A socket of a place that may have been used a moment ago.
fn bind(place: SocketAddr, kind: Type, protocol: Protocol) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(place), kind, Some(protocol))?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    } else {
        // The kernel lowers it to `net.core.rmem_max`.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    }
    socket.set_nonblocking(true)?;
    socket.bind(&place.into())?;
    Ok(socket)
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let answer = self.answer(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.code;
        metadata.authoritative = answer.code != ResponseCode::Refused;
        metadata.recursion_available = false;
        let none: [Record; 0] = [];
        let mut message = MessageResponseBuilder::from_message_request(request);
        // Who asks with EDNS and is answered without takes the server for an old one.
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_DATAGRAM);
        if request.edns.is_some() {
            message.edns(&edns);
        }
        let message = message.build(metadata, &answer.records, &none, &answer.authority, &none);
        match response.send_response(message).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "a DNS answer was not sent");
                let mut metadata =
                    Metadata::new(request.metadata.id, MessageType::Response, OpCode::Query);
                metadata.response_code = ResponseCode::ServFail;
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}

impl Handler {
    fn answer(&self, request: &Request) -> Answer {
        let refused = |code| Answer { code, records: Vec::new(), authority: Vec::new() };
        if request.metadata.op_code != OpCode::Query {
            return refused(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return refused(ResponseCode::FormErr) };
        if info.query.query_class() != DNSClass::IN {
            return refused(ResponseCode::Refused);
        }
        self.0.load().answer(info.query.name(), info.query.query_type())
    }
}
