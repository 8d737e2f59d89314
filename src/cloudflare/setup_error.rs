//! Why a client cannot be created.

/// Why a client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The account id is not 32 hexadecimal digits.
    #[error("the account id must be 32 hexadecimal digits")]
    Account,
    /// The base URL cannot be used; the text says why.
    #[error("the base URL {0}")]
    BaseUrl(String),
    /// The credentials are empty, or contain characters that no HTTP header can carry.
    #[error(
        "the credentials are empty or contain characters that an HTTP header cannot carry; check for line breaks"
    )]
    Credentials,
    /// The trust anchors in the files that the environment names cannot be read.
    #[error("the trust anchors cannot be read: {0}")]
    Trust(String),
    /// An environment variable for the proxy cannot be used.
    #[error("{variable} is not the URL of a proxy: {reason}")]
    Proxy {
        /// The variable.
        variable: &'static str,
        /// What is wrong. The value is left out, because it may contain a password.
        reason: String,
    },
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be created: {0}")]
    Http(String),
}
