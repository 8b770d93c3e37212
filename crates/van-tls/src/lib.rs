//! TLS at the edges of the network: a listener that ends its clients' TLS, and a connector that starts
//! TLS towards its workload.
//!
//! [`ServerSide`] and [`ClientSide`] hold what was last read whole from their files. Whoever owns one calls
//! its `look` now and then: files that changed are read anew, and connections made from then on use them;
//! files that can't be used leave what was read before as it is, and say why.
//!
//! Invariant: nothing switches verification off. A workload's certificate is verified against the files'
//! authorities or the system's, and has to be of the name that is wanted.

mod client;
mod error;
mod material;
mod server;
mod watched;

pub use client::ClientSide;
pub use error::TlsError;
pub use server::{ServerSide, greeting};
pub use watched::Standing;

/// A connection under TLS, of a client.
pub type OfClient<T> = tokio_rustls::server::TlsStream<T>;

/// A connection under TLS, to a workload.
pub type ToWorkload<T> = tokio_rustls::client::TlsStream<T>;
