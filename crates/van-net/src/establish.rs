//! From a connection or a circuit to a TLS session whose peer is known.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::buffer::Buffer;
use crate::socket::Read;
use crate::tls::{Progress, Tls};
use crate::transport::{Detached, Transport};

/// Time for a TLS handshake: several round trips of a bad satellite link.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of a ClientHello, post-quantum key shares included.
const MAX_CLIENT_HELLO: usize = 32 * 1024;

/// Unsent bytes that the kernel holds of a link: enough to keep a fast link busy between two polls,
/// little enough that a small message behind them waits for 10 ms at 100 Mbit/s.
const NOTSENT_LOWAT: u32 = 128 * 1024;

/// Why no TLS session came about.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The socket failed.
    #[error("the connection broke during the handshake: {0}")]
    Io(#[from] io::Error),
    /// TLS failed.
    #[error("TLS handshake failed: {}", reason(.0))]
    Tls(#[from] rustls::Error),
    /// It took too long.
    #[error("no TLS handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Timeout,
    /// The other end closed.
    #[error("the other end closed the connection during the handshake")]
    Closed,
    /// The other end speaks something else.
    #[error("the other end is no vand: it does not speak {0}")]
    Alpn(&'static str),
}

/// Why a handshake failed: in our own words where the peer's certificate was refused here.
fn reason(error: &rustls::Error) -> String {
    van_pki::PeerError::of(error).map_or_else(|| error.to_string(), |peer| peer.to_string())
}

/// A TLS session and what came with its handshake.
pub(crate) struct Established {
    /// Off any runtime.
    pub(crate) transport: Detached,
    pub(crate) tls: Tls,
    pub(crate) input: Buffer,
    pub(crate) output: Buffer,
    /// Plain bytes that came behind the handshake.
    pub(crate) early: Vec<u8>,
}

/// A TLS session in the making, also used to exchange a few bytes over one.
pub(crate) struct Handshake {
    transport: Transport,
    tls: Tls,
    input: Buffer,
    output: Buffer,
    early: Vec<u8>,
}

/// A ClientHello that was read and not answered yet.
pub(crate) struct Greeting {
    pub(crate) transport: Transport,
    /// What came, the ClientHello at its front.
    pub(crate) input: Buffer,
    offered: Vec<Vec<u8>>,
}

impl Greeting {
    /// Reads the ClientHello.
    pub(crate) async fn read(transport: Transport) -> Result<Self, HandshakeError> {
        let mut input = Buffer::default();
        let offered = timeout(HANDSHAKE_TIMEOUT, client_hello(&transport, &mut input))
            .await
            .map_err(|_| HandshakeError::Timeout)??;
        Ok(Self { transport, input, offered })
    }

    /// Whether it offers a protocol.
    pub(crate) fn offers(&self, alpn: &[u8]) -> bool {
        self.offered.iter().any(|offered| offered == alpn)
    }
}

/// Options of a link's socket: small messages at once, a dead peer found, little unsent data in the
/// kernel so that priorities count, and a congestion control that stands loss where there is one.
pub(crate) fn tune(socket: &TcpStream) {
    let socket = socket2::SockRef::from(socket);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5));
    // Each is an improvement where the kernel has it, and none is needed.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(10)));
    let _ = socket.set_tcp_notsent_lowat(NOTSENT_LOWAT);
    let _ = socket.set_tcp_congestion(b"bbr");
}

impl Handshake {
    /// Starts as the dialling side. `name` goes into SNI; it is not what is verified.
    pub(crate) async fn dial(
        transport: Transport,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        alpn: &'static str,
    ) -> Result<Self, HandshakeError> {
        let tls = Tls::client(config, name)?;
        let mut handshake = Self::new(transport, tls, Buffer::default());
        handshake.finish(alpn).await?;
        Ok(handshake)
    }

    /// Starts as the accepting side, which speaks one protocol.
    pub(crate) async fn accept(
        greeting: Greeting,
        config: Arc<ServerConfig>,
        alpn: &'static str,
    ) -> Result<Self, HandshakeError> {
        if !greeting.offers(alpn.as_bytes()) {
            return Err(HandshakeError::Alpn(alpn));
        }
        let Greeting { transport, input, offered: _ } = greeting;
        let mut handshake = Self::new(transport, Tls::server(config)?, input);
        handshake.finish(alpn).await?;
        Ok(handshake)
    }

    fn new(transport: Transport, tls: Tls, input: Buffer) -> Self {
        Self { transport, tls, input, output: Buffer::default(), early: Vec::new() }
    }

    async fn finish(&mut self, alpn: &'static str) -> Result<(), HandshakeError> {
        let done = timeout(HANDSHAKE_TIMEOUT, self.drive()).await;
        let result = done.map_err(|_| HandshakeError::Timeout).and_then(|result| result);
        if result.is_err() {
            // Best effort: the alert tells the other end why.
            let _ = self.output.write_to(&self.transport);
        }
        result?;
        if self.tls.alpn() == Some(alpn.as_bytes()) {
            Ok(())
        } else {
            Err(HandshakeError::Alpn(alpn))
        }
    }

    async fn drive(&mut self) -> Result<(), HandshakeError> {
        loop {
            let progress = self.advance()?;
            self.write().await?;
            match progress {
                Progress::Open => return Ok(()),
                Progress::Closed => return Err(HandshakeError::Closed),
                Progress::Handshake => self.read_more().await?,
            }
        }
    }

    fn advance(&mut self) -> Result<Progress, HandshakeError> {
        let early = &mut self.early;
        let result = self.tls.advance(&mut self.input, &mut self.output, |plain| {
            early.extend_from_slice(plain);
            Ok::<(), rustls::Error>(())
        });
        if result.is_err() {
            // A fatal alert waits in the connection; it needs one more call to come out.
            let _ = self
                .tls
                .advance(&mut self.input, &mut self.output, |_| Ok::<(), rustls::Error>(()));
        }
        Ok(result?)
    }

    async fn write(&mut self) -> Result<(), HandshakeError> {
        while !self.output.write_to(&self.transport)? {
            self.transport.writable().await?;
        }
        Ok(())
    }

    async fn read_more(&mut self) -> Result<(), HandshakeError> {
        read_more(&self.transport, &mut self.input).await
    }

    /// Sends bytes over the finished session.
    pub(crate) async fn send(&mut self, plain: &[u8]) -> Result<(), HandshakeError> {
        self.tls.seal(plain, &mut self.input, &mut self.output)?;
        self.write().await
    }

    /// Receives until `whole` is satisfied with what has come.
    pub(crate) async fn receive<T>(
        &mut self,
        mut whole: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, HandshakeError> {
        loop {
            if let Some(message) = whole(&self.early) {
                return Ok(message);
            }
            self.read_more().await?;
            if self.advance()? == Progress::Closed {
                return whole(&self.early).ok_or(HandshakeError::Closed);
            }
        }
    }

    /// Ends in order.
    pub(crate) async fn close(mut self) {
        self.tls.close(&mut self.input, &mut self.output);
        // The message has been exchanged; how the connection ends changes nothing.
        let _ = self.write().await;
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Where this and the other end are, for people.
    pub(crate) fn places(&self) -> io::Result<(String, String)> {
        self.transport.places()
    }

    /// Takes the session off this runtime, to live on a worker.
    pub(crate) fn into_established(self) -> io::Result<Established> {
        let Self { transport, tls, input, output, early } = self;
        Ok(Established { transport: transport.detach()?, tls, input, output, early })
    }
}

async fn read_more(transport: &Transport, input: &mut Buffer) -> Result<(), HandshakeError> {
    const ROOM: usize = 16 * 1024;
    loop {
        transport.readable().await?;
        match input.read_from(transport, ROOM)? {
            Read::End => return Err(HandshakeError::Closed),
            Read::Bytes { .. } => return Ok(()),
            Read::Blocked => {}
        }
    }
}

/// Reads the ClientHello without consuming it, and returns the protocols that it offers.
async fn client_hello(
    transport: &Transport,
    input: &mut Buffer,
) -> Result<Vec<Vec<u8>>, HandshakeError> {
    let mut acceptor = Acceptor::default();
    let mut fed = 0;
    loop {
        read_more(transport, input).await?;
        while fed < input.len() {
            fed += acceptor.read_tls(&mut &input.filled()[fed..])?;
            if let Some(accepted) = acceptor.accept().map_err(|(error, _alert)| error)? {
                let hello = accepted.client_hello();
                return Ok(hello
                    .alpn()
                    .map(|a| a.map(<[u8]>::to_vec).collect())
                    .unwrap_or_default());
            }
        }
        if input.len() > MAX_CLIENT_HELLO {
            return Err(rustls::Error::General("the ClientHello is above 32 KiB".into()).into());
        }
    }
}
