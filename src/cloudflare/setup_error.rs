//! Why a client cannot be made.

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The account id is not the 32 hexadecimal digits that Cloudflare shows.
    #[error("the account id must be 32 hexadecimal digits")]
    Account,
    /// The base URL cannot be used, for this reason.
    #[error("the base URL {0}")]
    BaseUrl(String),
    /// The credentials are empty or hold characters that no header can carry.
    #[error("the credentials are empty or hold characters that cannot be sent; check for stray line ends")]
    Credentials,
    /// No trust anchor can be read.
    #[error("the trust anchors cannot be read: {0}")]
    Trust(String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Http(String),
}
