//! TLS over buffers of the connection's own, by rustls' unbuffered interface.
//!
//! Records are sealed straight into the buffer that is written, and opened from the one that is
//! read; rustls keeps no buffer that an idle connection would hold.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, CommonState, HandshakeKind, ServerConfig};

use crate::buffer::Buffer;

/// The most bytes that one record carries.
pub(crate) const MAX_RECORD: usize = 16_384;

/// Room for a sealed record, its header, tag and a key update before it.
const SEALED_ROOM: usize = MAX_RECORD + 512;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More is needed from the peer to finish the handshake.
    Handshake,
    /// Data can be sent; all that came has been handed on.
    Open,
    /// The peer sends no more.
    Closed,
}

/// One TLS connection.
pub(crate) enum Tls {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What the handshake agreed on, for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The cipher suite.
    pub cipher: String,
    /// The key exchange group.
    pub key_exchange: String,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// Handles one state of either connection type, which rustls tells apart by type alone.
macro_rules! step {
    ($conn:expr, $input:expr, $output:expr, $sink:expr, $seal:expr) => {{
        let UnbufferedStatus { mut discard, state } = $conn.process_tls_records($input.filled());
        let step = match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    $sink(record.payload)?;
                }
                None
            }
            ConnectionState::EncodeTlsData(mut data) => {
                encode($output, |room| data.encode(room))?;
                None
            }
            ConnectionState::TransmitTlsData(data) => {
                // What was encoded stands in the output in order, ahead of all that follows.
                data.done();
                None
            }
            ConnectionState::BlockedHandshake => Some(Progress::Handshake),
            ConnectionState::WriteTraffic(mut traffic) => {
                if let Some(plain) = $seal {
                    encrypt($output, |room| traffic.encrypt(plain, room))?;
                }
                Some(Progress::Open)
            }
            ConnectionState::PeerClosed | ConnectionState::Closed => Some(Progress::Closed),
            _ => return Err(rustls::Error::General("early data is off".into()).into()),
        };
        $input.consume(discard);
        step
    }};
}

impl Tls {
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        UnbufferedClientConnection::new(config, name).map(|c| Self::Client(Box::new(c)))
    }

    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        UnbufferedServerConnection::new(config).map(|c| Self::Server(Box::new(c)))
    }

    /// Takes what came, hands its plaintext to `sink` and puts answers of the handshake into
    /// `output`.
    pub(crate) fn advance<E: From<rustls::Error>>(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Progress, E> {
        loop {
            let step = match self {
                Self::Client(conn) => step!(conn, input, output, sink, None::<&[u8]>),
                Self::Server(conn) => step!(conn, input, output, sink, None::<&[u8]>),
            };
            if let Some(progress) = step {
                return Ok(progress);
            }
        }
    }

    /// Seals at most [`MAX_RECORD`] bytes as one record into `output`.
    ///
    /// All that came must have been taken by [`Tls::advance`] before.
    pub(crate) fn seal(
        &mut self,
        plain: &[u8],
        input: &mut Buffer,
        output: &mut Buffer,
    ) -> Result<(), rustls::Error> {
        let unread = |_: &[u8]| Err(rustls::Error::General("unread data".into()));
        loop {
            let step = match self {
                Self::Client(conn) => step!(conn, input, output, unread, Some(plain)),
                Self::Server(conn) => step!(conn, input, output, unread, Some(plain)),
            };
            match step {
                Some(Progress::Open) => return Ok(()),
                Some(_) => return Err(rustls::Error::General("the connection is closed".into())),
                None => {}
            }
        }
    }

    /// Seals an orderly end.
    pub(crate) fn close(&mut self, input: &mut Buffer, output: &mut Buffer) {
        let room = |output: &mut Buffer, f: &mut dyn FnMut(&mut [u8]) -> Option<usize>| {
            if let Some(bytes) = f(output.spare(SEALED_ROOM)) {
                output.fill(bytes);
            }
        };
        match self {
            Self::Client(conn) => {
                if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
                    conn.process_tls_records(input.filled()).state
                {
                    room(output, &mut |spare| traffic.queue_close_notify(spare).ok());
                }
            }
            Self::Server(conn) => {
                if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
                    conn.process_tls_records(input.filled()).state
                {
                    room(output, &mut |spare| traffic.queue_close_notify(spare).ok());
                }
            }
        }
    }

    fn common(&self) -> &CommonState {
        match self {
            Self::Client(conn) => conn,
            Self::Server(conn) => conn,
        }
    }

    /// The peer's chain, its leaf first; empty before the handshake is done.
    pub(crate) fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        self.common()
            .peer_certificates()
            .map(|chain| chain.iter().map(|c| c.clone().into_owned()).collect())
            .unwrap_or_default()
    }

    /// The protocol agreed on.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    pub(crate) fn info(&self) -> TlsInfo {
        let common = self.common();
        let cipher = common
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .map_or_else(|| "?".into(), |name| name.replacen("TLS13_", "TLS_", 1));
        let group = common.negotiated_key_exchange_group();
        TlsInfo {
            cipher,
            key_exchange: group.map_or_else(|| "?".into(), |g| format!("{:?}", g.name())),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

fn encode(
    output: &mut Buffer,
    mut put: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), rustls::Error> {
    let mut room = SEALED_ROOM;
    loop {
        match put(output.spare(room)) {
            Ok(bytes) => {
                output.fill(bytes);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room = required_size;
            }
            Err(EncodeError::AlreadyEncoded) => {
                return Err(rustls::Error::General("handshake data was encoded twice".into()));
            }
        }
    }
}

fn encrypt(
    output: &mut Buffer,
    mut put: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), rustls::Error> {
    let mut room = SEALED_ROOM;
    loop {
        match put(output.spare(room)) {
            Ok(bytes) => {
                output.fill(bytes);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room = required_size;
            }
            Err(EncryptError::EncryptExhausted) => return Err(rustls::Error::EncryptError),
        }
    }
}
