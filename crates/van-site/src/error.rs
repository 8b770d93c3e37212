//! Why a site can't start or apply what is wanted.

use van_model::{ApiError, ErrorCode};
use van_pki::PkiError;
use van_store::StoreError;

/// Why a site can't do what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The state directory can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The identity can't be made or read.
    #[error("the site's identity can't be used: {0}")]
    Identity(#[from] PkiError),
    /// The identity was there and can't be read any more.
    #[error(
        "the site's identity in {0} can't be read, and neither can its second copy; \
         restore them from a backup, or remove both and link the site anew under a new id"
    )]
    IdentityLost(String),
    /// A file that the configuration names can't be read.
    #[error("{key}: {path} can't be read: {error}")]
    File {
        /// The configuration's key.
        key: String,
        /// The path.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A link's token can't be used.
    #[error("link {link}: {why}")]
    Token {
        /// Which link.
        link: String,
        /// Why.
        why: String,
    },
    /// A setting that needs a restart.
    #[error("{0} can't be changed while vand runs: restart it")]
    NeedsRestart(&'static str),
}

impl From<SiteError> for ApiError {
    fn from(error: SiteError) -> Self {
        let code = match &error {
            SiteError::Store(_) => ErrorCode::Unavailable,
            SiteError::Token { .. } | SiteError::File { .. } => ErrorCode::Invalid,
            _ => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}
