//! Reads the web configuration again for each handshake and each request; only what changed is built again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::digest;
use tokio::sync::MutexGuard;

use super::file::WebFile;
use super::policy::{Http2, Protection};
use super::tls::{self, Digests, Materials, Tls};
use crate::clock::{Clock, Instant};
use crate::config;
use crate::config::yaml;
use crate::http::is_out_of_files;

/// How long the certificate and the key from before are used while those in the files do not belong together. In this time a
/// tool that writes first one of them and then the other is done.
const RENEWAL: Duration = Duration::from_secs(1);

/// How long a handshake waits before it reads the files again while they do not make up a configuration. With
/// [`ATTEMPTS`] this is a second.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// How often a handshake reads the files before it fails.
const ATTEMPTS: u32 = 10;

/// What the files said when they were read.
#[derive(Debug)]
pub(super) struct View {
    text_digest: Vec<u8>,
    /// `None` if TLS is off, or if a file cannot be read.
    digests: Option<Digests>,
    /// What the web configuration says, or why it cannot be used.
    pub(super) file: Result<Arc<WebFile>, config::Error>,
    /// `None` if TLS is off, or if the web configuration cannot be used.
    pub(super) tls: Option<Result<Arc<Tls>, tls::Error>>,
}

impl View {
    /// Reads the files for the first time. This may block.
    pub(super) fn load(path: &Path) -> Self {
        Self::read(path, None).unwrap_or_else(|OutOfFiles| {
            let problem = format!("cannot read {}: too many files are open", path.display());
            Self::without_tls(Vec::new(), Err(config::Error::new(problem)))
        })
    }

    /// Reads the files. What did not change is taken from the view before. This may block.
    ///
    /// # Errors
    /// Too many files are open, so that nothing is known about these.
    fn read(path: &Path, before: Option<(&Self, Fixed)>) -> Result<Self, OutOfFiles> {
        let bytes = yaml::read_bytes(path);
        if bytes.as_ref().is_err_and(is_out_of_files) {
            return Err(OutOfFiles);
        }
        let text = match yaml::text(path, bytes) {
            Ok(text) => text,
            Err(error) => return Ok(Self::without_tls(Vec::new(), Err(error))),
        };
        let text_digest = digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec();
        // Editors empty a file before they write it. Taken as it is, it would ask for no password.
        if text.trim().is_empty() && before.is_some_and(|(_, fixed)| fixed.protection == Protection::On) {
            let problem = "it is empty; removing protection needs a restart";
            return Ok(Self::without_tls(text_digest, Err(config::Error::new(problem))));
        }
        let known = before.map(|(known, _)| known).filter(|known| known.text_digest == text_digest);
        let file = match known {
            Some(known) => known.file.clone(),
            None => WebFile::parse(path, &text).map(Arc::new),
        };
        let mut view = Self::without_tls(text_digest, file);
        let Ok(file) = &view.file else { return Ok(view) };
        let Some(settings) = &file.tls else { return Ok(view) };
        view.tls = Some(match Materials::read(settings) {
            Err(tls::Error::OutOfFiles(_)) => return Err(OutOfFiles),
            Err(error) => Err(error),
            Ok(materials) => {
                let digests = materials.digests();
                let same = known.filter(|known| known.digests.as_ref() == Some(&digests));
                view.digests = Some(digests);
                match same {
                    Some(View { tls: Some(tls), .. }) => tls.clone(),
                    _ => {
                        let http2 = before.map_or(file.http2, |(_, fixed)| fixed.http2);
                        materials.build(settings, http2).map(Arc::new)
                    }
                }
            }
        });
        Ok(view)
    }

    fn without_tls(text_digest: Vec<u8>, file: Result<Arc<WebFile>, config::Error>) -> Self {
        Self { text_digest, digests: None, file, tls: None }
    }

    /// Why something cannot be used, if so.
    pub(super) fn problem(&self) -> Option<String> {
        match (&self.file, &self.tls) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), Some(Err(error))) => Some(error.to_string()),
            (Ok(_), Some(Ok(_)) | None) => None,
        }
    }

    /// Whether this may be `before` in the middle of a renewal: only the certificate and its key differ, and nothing that
    /// decides who is admitted.
    fn may_be_renewal_of(&self, before: &Self) -> bool {
        let client_ca = |view: &Self| view.digests.as_ref().map(|digests| digests.client_ca.clone());
        self.text_digest == before.text_digest
            && self.digests.is_some()
            && client_ca(self) == client_ca(before)
    }
}

/// Too many files are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OutOfFiles;

/// What was read, and what can be used.
struct Views {
    latest: Arc<View>,
    /// The latest one that can be used.
    usable: Arc<View>,
    /// When the latest view was found not to be usable; `None` if it is.
    unusable_since: Option<Instant>,
}

impl Views {
    fn read(&mut self, view: View, now: Instant) {
        self.latest = Arc::new(view);
        if self.latest.problem().is_none() {
            self.usable = Arc::clone(&self.latest);
            self.unusable_since = None;
        } else {
            self.unusable_since.get_or_insert(now);
        }
    }

    /// What a handshake uses now; `None` if nothing can be used.
    fn for_handshake(&self, now: Instant) -> Option<Arc<View>> {
        match self.unusable_since {
            None => Some(Arc::clone(&self.latest)),
            Some(since) if now.since(since) < RENEWAL && self.latest.may_be_renewal_of(&self.usable) => {
                Some(Arc::clone(&self.usable))
            }
            Some(_) => None,
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
    views: tokio::sync::Mutex<Views>,
    clock: Clock,
    /// The problem that was logged last.
    logged: Mutex<Option<String>>,
}

impl Source {
    /// `view` is what [`View::load`] gave for `path`, without a problem.
    pub(super) fn new(path: PathBuf, view: View, fixed: Fixed, clock: Clock) -> Self {
        let latest = Arc::new(view);
        let views = Views { usable: Arc::clone(&latest), latest, unusable_since: None };
        Self { path, fixed, views: tokio::sync::Mutex::new(views), clock, logged: Mutex::default() }
    }

    /// What the files say now. While too many files are open, what they said before.
    pub(super) async fn read(&self) -> Arc<View> {
        Arc::clone(&self.read_views().await.latest)
    }

    /// What a handshake uses: what the files say now, or the certificate and the key from before while they are renewed. While
    /// nothing can be used, the files are read again for up to a second.
    pub(super) async fn settled(&self) -> Arc<View> {
        for _ in 1..ATTEMPTS {
            let views = self.read_views().await;
            if let Some(view) = views.for_handshake(self.clock.now()) {
                return view;
            }
            drop(views);
            tokio::time::sleep(RETRY_WAIT).await;
        }
        self.read().await
    }

    async fn read_views(&self) -> MutexGuard<'_, Views> {
        let mut views = self.views.lock().await;
        let (path, known, fixed) = (self.path.clone(), Arc::clone(&views.latest), self.fixed);
        let read = tokio::task::spawn_blocking(move || View::read(&path, Some((&known, fixed)))).await;
        // The outer error means that the process ends.
        if let Ok(Ok(view)) = read {
            views.read(view, self.clock.now());
        }
        views
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

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    const CONFIG: &str = "tls_server_config:\n  cert_file: crt\n  key_file: key\n  client_ca_file: ca\n  \
                          client_auth_type: RequireAndVerifyClientCert\n";

    /// A certificate and its key as PEM.
    fn pair() -> [String; 2] {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        [cert.pem(), signing_key.serialize_pem()]
    }

    fn at(millis: u64) -> Instant {
        Instant::after_start(Duration::from_millis(millis))
    }

    #[test]
    fn the_pair_from_before_is_used_for_a_second_if_nothing_else_changed() {
        let ([cert, key], [new_cert, new_key], [ca, _], [other_ca, _]) = (pair(), pair(), pair(), pair());
        let others = CONFIG.replace("RequireAndVerify", "Require");
        let good = [("web", CONFIG), ("crt", &cert), ("key", &key), ("ca", &ca)];
        /// Which view a handshake gets.
        #[derive(Debug, PartialEq, Eq)]
        enum Used {
            Latest,
            Before,
            None,
        }
        type Changes<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, Changes<'_>, u64, Used); 12] = [
            ("nothing changed", &[], 0, Used::Latest),
            ("the new certificate alone", &[("crt", &new_cert)], 0, Used::Before),
            ("for almost a second", &[("crt", &new_cert)], 999, Used::Before),
            ("for a second", &[("crt", &new_cert)], 1_000, Used::None),
            ("the new key alone", &[("key", &new_key)], 0, Used::Before),
            ("a certificate that is not written yet", &[("crt", "")], 0, Used::Before),
            ("both", &[("crt", &new_cert), ("key", &new_key)], 0, Used::Latest),
            ("another CA", &[("ca", &other_ca)], 0, Used::Latest),
            (
                "another CA, and the new certificate alone",
                &[("ca", &other_ca), ("crt", &new_cert)],
                0,
                Used::None,
            ),
            ("a CA that cannot be read", &[("ca", "junk")], 0, Used::None),
            (
                "another policy, and the new certificate alone",
                &[("web", &others), ("crt", &new_cert)],
                0,
                Used::None,
            ),
            ("a file that broke", &[("web", "junk")], 0, Used::None),
        ];
        for (name, changes, millis, wanted) in cases {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("web");
            let write =
                |(file, text): &(&str, &str)| std::fs::write(directory.path().join(file), text).unwrap();
            good.iter().for_each(write);
            let before = Arc::new(View::load(&path));
            let fixed = Fixed { http2: Http2::On, protection: Protection::On };
            let mut views = Views { latest: Arc::clone(&before), usable: before, unusable_since: None };
            changes.iter().for_each(write);
            // The change is seen at the first of two readings.
            for seen in [5_000, 5_000 + millis] {
                let read = View::read(&path, Some((&views.latest, fixed))).unwrap();
                views.read(read, at(seen));
            }
            let used = match views.for_handshake(at(5_000 + millis)) {
                Some(view) if Arc::ptr_eq(&view, &views.latest) => Used::Latest,
                Some(view) if Arc::ptr_eq(&view, &views.usable) => Used::Before,
                _ => Used::None,
            };
            assert_eq!(used, wanted, "{name}");
            good.iter().for_each(write);
            views.read(View::read(&path, Some((&views.latest, fixed))).unwrap(), at(9_000));
            assert!(views.for_handshake(at(9_000)).is_some() && views.unusable_since.is_none(), "{name}");
        }
    }
}
