//! What the environment says about connections to the API, judged without one.

use std::path::PathBuf;

use super::base_url::{self, Site};
use super::proxy::Proxy;
use super::setup_error::SetupError;
use super::tls;

/// The variable that names the proxy to the API at `base_url`, and the proxy's host and port; `None` if there is none.
///
/// # Errors
/// As for a client.
pub(crate) fn proxy(base_url: &str) -> Result<Option<(&'static str, String)>, SetupError> {
    let (base, site) = base_url::parse(base_url)?;
    Ok(Proxy::from_environment(&base, site)?.map(|proxy| (proxy.variable, proxy.host())))
}

/// The trust anchors that replace those of the platform.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Anchors {
    /// The variable that names them.
    pub(crate) variable: &'static str,
    pub(crate) path: PathBuf,
}

/// The trust anchors for the API at `base_url` that the environment names, and whether they can be used; none if the
/// connection needs none. What is not on this machine is not judged.
pub(crate) fn anchors(base_url: &str) -> Vec<(Anchors, Judged)> {
    let Ok((_, Site::Remote)) = base_url::parse(base_url) else { return Vec::new() };
    let chosen: Vec<Anchors> = tls::chosen().map(|(variable, path)| Anchors { variable, path }).collect();
    let all_here = chosen.iter().all(|anchors| anchors.path.exists());
    // One that can be used is enough, so they are judged together.
    let mut problem = all_here.then(|| tls::with_anchors().err().map(SetupError::Trust)).flatten();
    let judged = |anchors: Anchors| {
        let judged = match (problem.take(), all_here) {
            (Some(problem), _) => Judged::Unusable(problem),
            (None, true) => Judged::Usable,
            (None, false) => Judged::Elsewhere,
        };
        (anchors, judged)
    };
    chosen.into_iter().map(judged).collect()
}

/// What is known of trust anchors.
#[derive(Debug)]
pub(crate) enum Judged {
    Usable,
    /// Some of those that are named are not on this machine.
    Elsewhere,
    Unusable(SetupError),
}
