//! Content negotiation: the format and the coding of an answer, from `Accept` and `Accept-Encoding` (RFC 9110, section
//! 12).
//!
//! Prometheus 2.42 asks for `application/openmetrics-text;version=1.0.0, ...;q=0.75, text/plain;version=0.0.4;q=0.5,
//! */*;q=0.1`; 3.x gives each of its `scrape_protocols` a weight and adds `escaping=allow-utf-8`. A client that accepts
//! neither format gets the text format: readable text is more useful than a 406.

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName};

use crate::metrics::encode::Format;
use crate::metrics::exposition::{Coding, Form};

/// What was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) form: Form,
    /// The escaping scheme that the client asked for, if it leaves our metric names as they are.
    escaping: Option<&'static str>,
}

/// A quality value in thousandths; it has at most three digits.
type Quality = u16;

/// One element of a list such as `text/plain;version=0.0.4;q=0.5`.
struct Range<'h> {
    name: &'h str,
    version: Option<&'h str>,
    escaping: Option<&'static str>,
    quality: Quality,
}

impl Negotiated {
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let (format, escaping) = format(headers);
        Self { form: Form { format, coding: coding(headers) }, escaping }
    }

    /// The `Content-Type` of the answer.
    pub(super) fn content_type(self) -> String {
        let kind = match self.form.format {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        };
        match self.escaping {
            Some(escaping) => format!("{kind}; escaping={escaping}"),
            None => kind.to_owned(),
        }
    }
}

/// OpenMetrics is only for clients that name it and do not prefer the text format.
fn format(headers: &HeaderMap) -> (Format, Option<&'static str>) {
    let ranges: Vec<Range<'_>> = elements(headers, ACCEPT).collect();
    let open_metrics = ranges
        .iter()
        .filter(|range| range.is("application/openmetrics-text") && range.version_is("1.0.0"))
        .max_by_key(|range| range.quality);
    let plain = ranges.iter().find(|range| range.is("text/plain") && range.version_is("0.0.4"));
    let text = plain
        .or_else(|| ranges.iter().find(|range| range.is("text/*")))
        .or_else(|| ranges.iter().find(|range| range.is("*/*")))
        .map_or(0, |range| range.quality);
    match open_metrics {
        Some(range) if range.quality > 0 && range.quality >= text => (Format::OpenMetrics, range.escaping),
        _ => (Format::Text, plain.and_then(|range| range.escaping)),
    }
}

fn coding(headers: &HeaderMap) -> Coding {
    let codings: Vec<Range<'_>> = elements(headers, ACCEPT_ENCODING).collect();
    let quality = |name| codings.iter().find(|coding| coding.is(name)).map(|coding| coding.quality);
    let gzip = quality("gzip").or_else(|| quality("x-gzip")).or_else(|| quality("*"));
    match gzip.unwrap_or(0) {
        gzip if gzip > 0 && gzip >= quality("identity").unwrap_or(0) => Coding::Gzip,
        _ => Coding::Identity,
    }
}

fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Range<'_>> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(Range::parse)
}

impl<'h> Range<'h> {
    fn parse(element: &'h str) -> Self {
        let mut words = element.split(';').map(str::trim);
        let mut range =
            Self { name: words.next().unwrap_or_default(), version: None, escaping: None, quality: 1_000 };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "q" => {
                    let quality: f32 = value.parse().unwrap_or(1.0);
                    range.quality = (quality.clamp(0.0, 1.0) * 1_000.0) as Quality;
                }
                "version" => range.version = Some(value),
                "escaping" => range.escaping = known_escaping(value),
                _ => {}
            }
        }
        range
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// A range without a version accepts any.
    fn version_is(&self, version: &str) -> bool {
        self.version.is_none_or(|wanted| wanted == version)
    }
}

/// These three leave our metric names as they are; `dots` would double their underscores.
fn known_escaping(value: &str) -> Option<&'static str> {
    ["allow-utf-8", "underscores", "values"].into_iter().find(|known| *known == value)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const TEXT_UTF8: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";
    const OPEN_METRICS_UTF8: &str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";

    fn negotiated(name: &HeaderName, values: &[&str]) -> Negotiated {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Negotiated::from_headers(&headers)
    }

    #[test]
    fn each_client_gets_the_format_it_prefers() {
        let cases: [(&[&str], &str); 18] = [
            (&[], TEXT),
            (&[""], TEXT),
            (&["*/*"], TEXT),
            // Prometheus 2.42.
            (
                &[
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                   text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ],
                OPEN_METRICS,
            ),
            // Prometheus 3.0, which gives weights and an escaping scheme.
            (
                &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                   application/openmetrics-text;version=0.0.1;escaping=allow-utf-8;q=0.4,\
                   text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                   text/plain;version=0.0.4;escaping=allow-utf-8;q=0.2,*/*;q=0.1"],
                OPEN_METRICS_UTF8,
            ),
            // Later versions, each configured with one protocol.
            (
                &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5"],
                OPEN_METRICS_UTF8,
            ),
            (&["application/openmetrics-text;version=0.0.1;q=0.6,*/*;q=0.5"], TEXT),
            (&["text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5"], TEXT),
            (&["text/plain;version=0.0.4;q=0.6,*/*;q=0.5"], TEXT),
            (&["text/plain;version=0.0.4;escaping=allow-utf-8;q=0.6,*/*;q=0.5"], TEXT_UTF8),
            (
                &[
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.5",
                ],
                TEXT,
            ),
            // A browser.
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], TEXT),
            // Order does not matter, case does not, and several headers are one list.
            (&["text/plain;q=0.2", "Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.3"], OPEN_METRICS),
            (&["text/plain;q=0.4,application/openmetrics-text;q=0.3"], TEXT),
            (&["*/*,application/openmetrics-text"], OPEN_METRICS),
            (&["application/openmetrics-text;q=0"], TEXT),
            (&["application/openmetrics-text;version=2.0.0"], TEXT),
            (&["application/openmetrics-text;escaping=dots;q=nan,text/plain;q=x;escaping=a\tb"], TEXT),
        ];
        for (accept, content_type) in cases {
            assert_eq!(negotiated(&ACCEPT, accept).content_type(), content_type, "{accept:?}");
        }
    }

    #[test]
    fn gzip_is_for_clients_that_accept_it_and_do_not_prefer_identity() {
        let cases: [(&[&str], Coding); 12] = [
            (&[], Coding::Identity),
            (&["gzip"], Coding::Gzip),
            (&["deflate, br", "GZIP;q=0.1"], Coding::Gzip),
            (&["x-gzip"], Coding::Gzip),
            (&["*"], Coding::Gzip),
            (&["gzip;q=0"], Coding::Identity),
            (&["gzip;q=0, *"], Coding::Identity),
            (&["gzip;q=0.000"], Coding::Identity),
            (&["identity"], Coding::Identity),
            (&["identity, gzip;q=0.5"], Coding::Identity),
            (&["identity;q=0.5, gzip"], Coding::Gzip),
            (&["br, zstd"], Coding::Identity),
        ];
        for (accept, coding) in cases {
            assert_eq!(negotiated(&ACCEPT_ENCODING, accept).form.coding, coding, "{accept:?}");
        }
    }
}
