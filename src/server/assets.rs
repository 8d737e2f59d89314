//! The page at `/`: a few files that are compiled in. All that it shows, it asks of `/api/v1/status`.
//!
//! It links to everything by relative addresses, so that a proxy may put it below a path of its own.

use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};

use crate::http::{self, Body};

/// Nothing but what this server has, nothing written into the page itself, and no place in another's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A file of the page.
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const FILES: [File; 5] = [
    File { path: "/", content_type: "text/html; charset=utf-8", text: include_str!("assets/index.html") },
    File {
        path: "/page.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("assets/page.js"),
    },
    File {
        path: "/page.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("assets/page.css"),
    },
    File {
        path: "/draw.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("assets/draw.js"),
    },
    // Browsers ask for one in any case, and would log that the policy forbids it.
    File { path: "/icon.svg", content_type: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

/// The file at `path`.
pub(super) fn at(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// The answer with this file. A browser that has it asks all the same: after an update it is another.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = guarded(self.content_type, "no-cache", http::full(self.text));
        let policy = HeaderValue::from_static(POLICY);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        response
    }
}

/// What `/api/v1/status` answers.
pub(super) fn status(json: Vec<u8>) -> Response<Body> {
    guarded("application/json", "no-store", http::full(json))
}

/// An answer that no other site can use as its own.
fn guarded(content_type: &'static str, cache: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, cache),
        (hyper::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
