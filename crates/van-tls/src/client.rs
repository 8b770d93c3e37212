//! The end of TLS that speaks to a workload.

use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use van_model::ConnectorTls;

use crate::ToWorkload;
use crate::error::TlsError;
use crate::material::{authorities, of_system, pair, place, provider};
use crate::watched::{Made, Standing, Watched};

/// Time for one handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts TLS towards the workload of one connector.
#[derive(Debug)]
pub struct ClientSide {
    watched: Watched<ClientConfig>,
    name: Result<ServerName<'static>, String>,
}

impl ClientSide {
    /// Reads what `spec` names; where that fails, the workload counts as not reached until a later look
    /// finds it good. `host`: whose certificate is wanted where `spec` does not say; `protocols`: what is
    /// offered by ALPN.
    pub fn new(spec: &ConnectorTls, host: &str, protocols: &[&str]) -> Self {
        let files = [&spec.ca, &spec.certificate, &spec.key];
        let paths = files.into_iter().flatten().filter_map(|text| place(text).ok()).collect();
        let name = spec.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| name.to_owned());
        let spec = spec.clone();
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let make = Box::new(move || make(&spec, protocols.clone()));
        Self { watched: Watched::new(paths, make), name }
    }

    /// How the files stand.
    pub fn standing(&self) -> Standing {
        self.watched.standing()
    }

    /// Reads files that have changed. Returns whether [`ClientSide::standing`] is another. Blocks on the
    /// files.
    pub fn look(&self) -> bool {
        self.watched.look()
    }

    /// Does the handshake with the workload.
    ///
    /// # Errors
    /// Where its certificate is not good or of another name, it takes longer than 10 s, or there is
    /// nothing to verify it with.
    pub async fn connect<T>(&self, io: T) -> Result<ToWorkload<T>, TlsError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.watched.config()?;
        let name = self.name.clone().map_err(TlsError::Name)?;
        let handshake = TlsConnector::from(config).connect(name, io);
        let done = timeout(PATIENCE, handshake).await.map_err(|_| TlsError::Late(PATIENCE))?;
        done.map_err(TlsError::Handshake)
    }
}

fn make(spec: &ConnectorTls, protocols: Vec<Vec<u8>>) -> Result<Made<ClientConfig>, TlsError> {
    let roots = match &spec.ca {
        Some(text) => authorities(&place(text)?)?,
        None => of_system()?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let (mut config, not_after) = match (&spec.certificate, &spec.key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (place(certificate)?, place(key)?);
            let pair = pair(&certificate, &key)?;
            let config = builder.with_client_auth_cert(pair.chain, pair.key);
            let config = config.map_err(|source| TlsError::Pair { certificate, key, source })?;
            (config, pair.not_after)
        }
        _ => (builder.with_no_client_auth(), None),
    };
    config.alpn_protocols = protocols;
    Ok(Made { config, not_after })
}
