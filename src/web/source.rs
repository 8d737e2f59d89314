//! Reads the web configuration again for each handshake and each request; only what changed is built again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::digest;

use super::file::WebFile;
use super::policy::{Http2, Protection};
use super::tls::{self, Materials, Tls};
use crate::config;
use crate::config::yaml;

/// How long a handshake waits before it reads the files again while they do not make up a configuration. With
/// [`ATTEMPTS`] this is a second, in which a tool that writes a certificate and then its key is done.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// How often a handshake reads the files before it fails.
const ATTEMPTS: u32 = 10;

/// What the files said when they were read.
#[derive(Debug)]
pub(super) struct View {
    text_digest: Vec<u8>,
    materials_digest: Vec<u8>,
    /// What the web configuration says, or why it cannot be used.
    pub(super) file: Result<Arc<WebFile>, config::Error>,
    /// `None` if TLS is off, or if the web configuration cannot be used.
    pub(super) tls: Option<Result<Arc<Tls>, tls::Error>>,
}

impl View {
    /// Reads the files for the first time. This may block.
    pub(super) fn load(path: &Path) -> Self {
        Self::read(path, None)
    }

    /// Reads the files. What did not change is taken from the view before. This may block.
    fn read(path: &Path, before: Option<(&Self, Fixed)>) -> Self {
        let text = match yaml::read_text(path) {
            Ok(text) => text,
            Err(error) => return Self::without_tls(Vec::new(), Err(error)),
        };
        let text_digest = digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec();
        // Editors empty a file before they write it. Taken as it is, it would ask for no password.
        if text.trim().is_empty() && before.is_some_and(|(_, fixed)| fixed.protection == Protection::On) {
            let problem = "it is empty; removing protection needs a restart";
            return Self::without_tls(text_digest, Err(config::Error::new(problem)));
        }
        let known = before.map(|(known, _)| known).filter(|known| known.text_digest == text_digest);
        let file = match known {
            Some(known) => known.file.clone(),
            None => WebFile::parse(path, &text).map(Arc::new),
        };
        let mut view = Self::without_tls(text_digest, file);
        let Ok(file) = &view.file else { return view };
        let Some(settings) = &file.tls else { return view };
        view.tls = Some(match Materials::read(settings) {
            Err(error) => Err(error),
            Ok(materials) => {
                view.materials_digest = materials.digest();
                match known.filter(|known| known.materials_digest == view.materials_digest) {
                    Some(View { tls: Some(tls), .. }) => tls.clone(),
                    _ => {
                        let http2 = before.map_or(file.http2, |(_, fixed)| fixed.http2);
                        materials.build(settings, http2).map(Arc::new)
                    }
                }
            }
        });
        view
    }

    fn without_tls(text_digest: Vec<u8>, file: Result<Arc<WebFile>, config::Error>) -> Self {
        Self { text_digest, materials_digest: Vec::new(), file, tls: None }
    }

    /// Why something cannot be used, if so.
    pub(super) fn problem(&self) -> Option<String> {
        match (&self.file, &self.tls) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), Some(Err(error))) => Some(error.to_string()),
            (Ok(_), Some(Ok(_)) | None) => None,
        }
    }
}

/// What was decided at the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    pub(super) http2: Http2,
    pub(super) protection: Protection,
}

/// The web configuration at a path.
pub(super) struct Source {
    path: PathBuf,
    fixed: Fixed,
    /// Locked while the files are read, so that many requests at once take one thread.
    view: tokio::sync::Mutex<Arc<View>>,
    /// The problem that was logged last.
    logged: Mutex<Option<String>>,
}

impl Source {
    /// `view` is what [`View::load`] gave for `path`.
    pub(super) fn new(path: PathBuf, view: View, fixed: Fixed) -> Self {
        Self { path, fixed, view: tokio::sync::Mutex::new(Arc::new(view)), logged: Mutex::default() }
    }

    /// What the files say now.
    pub(super) async fn read(&self) -> Arc<View> {
        let mut view = self.view.lock().await;
        let (path, known, fixed) = (self.path.clone(), Arc::clone(&view), self.fixed);
        let read =
            tokio::task::spawn_blocking(move || Arc::new(View::read(&path, Some((&known, fixed))))).await;
        // An error means that the process ends.
        if let Ok(read) = read {
            *view = read;
        }
        Arc::clone(&view)
    }

    /// The same for a handshake: while the files do not make up a configuration, they are read again for up to a second.
    pub(super) async fn settled(&self) -> Arc<View> {
        let mut view = self.read().await;
        for _ in 1..ATTEMPTS {
            if view.problem().is_none() {
                break;
            }
            tokio::time::sleep(RETRY_WAIT).await;
            view = self.read().await;
        }
        view
    }

    /// Logs a problem once, and that it is over.
    pub(super) fn log(&self, problem: Option<String>) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if *logged == problem {
            return;
        }
        match &problem {
            Some(problem) => {
                tracing::warn!(
                    problem,
                    "the web configuration cannot be used; requests are refused until it can"
                );
            }
            None => tracing::info!("the web configuration can be used again"),
        }
        *logged = problem;
    }
}
