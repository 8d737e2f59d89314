//! The files of the live page, which are compiled in. The page reads its data from `/api/v1/status`.
//!
//! All its links are relative, so that a reverse proxy can serve it below a path.

use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY};

use crate::http::{self, Body};

/// The page may load only files of this server, may run no inline scripts or styles, and may not be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The path of the metrics in the files.
const METRICS_PATH: &str = "/metrics";

/// A file of the live page.
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const FILES: [File; 10] = [
    File { path: "/", content_type: "text/html; charset=utf-8", text: include_str!("assets/index.html") },
    script("/page.js", include_str!("assets/page.js")),
    File {
        path: "/page.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("assets/page.css"),
    },
    script("/account.js", include_str!("assets/account.js")),
    script("/charts.js", include_str!("assets/charts.js")),
    script("/commands.js", include_str!("assets/commands.js")),
    script("/draw.js", include_str!("assets/draw.js")),
    script("/health.js", include_str!("assets/health.js")),
    script("/overview.js", include_str!("assets/overview.js")),
    // Browsers request an icon in any case, and would log that the policy forbids it.
    File { path: "/icon.svg", content_type: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

const fn script(path: &'static str, text: &'static str) -> File {
    File { path, content_type: "text/javascript; charset=utf-8", text }
}

/// The file at this path. `config` has the same paths, where the metrics cannot be.
pub(super) fn at(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// The response with this file, whose links go to the metrics at `metrics_path`. Browsers must ask for it again each
    /// time, because an update may change it.
    pub(super) fn response(&self, metrics_path: &str) -> Response<Body> {
        let body = match metrics_path {
            METRICS_PATH => http::full(self.text),
            path => {
                let link = format!("href=\"{}\"", path.trim_start_matches('/'));
                http::full(self.text.replace("href=\"metrics\"", &link))
            }
        };
        let mut response = private(self.content_type, "no-cache", body);
        let policy = HeaderValue::from_static(POLICY);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        response
    }
}

/// A response that is asked for again each time, and whose address links do not tell other sites.
pub(super) fn private(content_type: &'static str, cache: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    for (name, value) in
        [(CONTENT_TYPE, content_type), (CACHE_CONTROL, cache), (REFERRER_POLICY, "no-referrer")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::PAGE_FILES;

    #[test]
    fn the_metrics_cannot_be_at_the_path_of_a_file() {
        let paths: Vec<_> = FILES.iter().map(|file| file.path).filter(|path| *path != "/").collect();
        assert_eq!(paths, PAGE_FILES);
    }
}
