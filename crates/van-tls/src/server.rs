//! The end of TLS that clients of a listener speak to.

use std::io;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{Acceptor, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use van_model::ListenerTls;

use crate::OfClient;
use crate::error::TlsError;
use crate::material::{authorities, pair, place, provider};
use crate::watched::{Made, Standing, Watched};

/// Time for one handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handshakes of one listener at once; further clients wait their turn, within [`PATIENCE`].
const AT_ONCE: usize = 256;

/// Bytes of a client's greeting; with post-quantum keys and tickets it has about two thousand.
const MOST_GREETING: usize = 16 * 1024;

/// Time for a client's greeting to be whole.
const GREETING: Duration = Duration::from_secs(5);

/// Ends TLS for the clients of one listener.
#[derive(Debug)]
pub struct ServerSide {
    watched: Watched<ServerConfig>,
    turns: Semaphore,
}

impl ServerSide {
    /// Reads what `spec` names; where that fails, [`ServerSide::standing`] says why and no client is served
    /// until a later look finds it good. `protocols`: what is offered by ALPN, the best first.
    pub fn new(spec: &ListenerTls, protocols: &[&str]) -> Self {
        let files = [Some(&spec.certificate), Some(&spec.key), spec.client_ca.as_ref()];
        let paths = files.into_iter().flatten().filter_map(|text| place(text).ok()).collect();
        let spec = spec.clone();
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let make = Box::new(move || make(&spec, protocols.clone()));
        Self { watched: Watched::new(paths, make), turns: Semaphore::new(AT_ONCE) }
    }

    /// How the files stand.
    pub fn standing(&self) -> Standing {
        self.watched.standing()
    }

    /// Reads files that have changed. Returns whether [`ServerSide::standing`] is another. Blocks on the
    /// files.
    pub fn look(&self) -> bool {
        self.watched.look()
    }

    /// Does the handshake with a client.
    ///
    /// # Errors
    /// Where the client fails it, takes longer than 10 s, or there is nothing to serve with.
    pub async fn accept<T>(&self, io: T) -> Result<OfClient<T>, TlsError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.watched.config()?;
        let handshake = async {
            // It is never closed.
            let _turn = self.turns.acquire().await;
            let accepting = TlsAcceptor::from(config).accept(io).into_fallible();
            match accepting.await {
                Ok(tls) => Ok(tls),
                Err((error, mut io)) => {
                    // The alert that was sent says why: a reset would take it from the client.
                    let _ = io.shutdown().await;
                    Err(error)
                }
            }
        };
        let done = timeout(PATIENCE, handshake).await.map_err(|_| TlsError::Late(PATIENCE))?;
        done.map_err(TlsError::Handshake)
    }
}

fn make(spec: &ListenerTls, protocols: Vec<Vec<u8>>) -> Result<Made<ServerConfig>, TlsError> {
    let (certificate, key) = (place(&spec.certificate)?, place(&spec.key)?);
    let pair = pair(&certificate, &key)?;
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match &spec.client_ca {
        None => builder.with_no_client_auth(),
        Some(text) => {
            let path = place(text)?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(authorities(&path)?, provider())
                    .build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| TlsError::Authorities { path, why: error.to_string() })?,
            )
        }
    };
    let mut config = builder
        .with_single_cert(pair.chain, pair.key)
        .map_err(|source| TlsError::Pair { certificate, key, source })?;
    config.alpn_protocols = protocols;
    config.ticketer = Ticketer::new()?;
    Ok(Made { config, not_after: pair.not_after })
}

/// Reads a client's greeting without answering it: the server name that it asks for, in lower case, and
/// all that was read, for whoever ends the TLS.
///
/// # Errors
/// Where it is no greeting of TLS, has more than 16 KiB, or is not whole within 5 s.
pub async fn greeting<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<(Option<String>, Vec<u8>)> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::new();
    let whole = async {
        let mut room = [0; 2048];
        loop {
            let count = io.read(&mut room).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&room[..count]);
            if bytes.len() > MOST_GREETING {
                return Err(invalid(format!("a greeting of more than {MOST_GREETING} bytes")));
            }
            let mut rest = &room[..count];
            while !rest.is_empty() {
                acceptor.read_tls(&mut rest)?;
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                    return Ok(name);
                }
                Err((error, _)) => return Err(invalid(error.to_string())),
            }
        }
    };
    let name = timeout(GREETING, whole).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok((name, bytes))
}
