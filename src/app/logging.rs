//! Writes log lines to standard error, as text or as JSON.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::{Log, LogFormat};

/// Whether log lines have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// With ANSI escape sequences.
    On,
    /// Without escape sequences.
    Off,
}

impl Colour {
    /// Colours for a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn for_stream(stream: &impl IsTerminal) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && stream.is_terminal() { Self::On } else { Self::Off }
    }
}

/// Sends the log of this process to standard error.
///
/// # Errors
/// A subscriber is installed already.
pub(crate) fn start(log: &Log) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(log, Colour::for_stream(&io::stderr()), io::stderr))
}

/// A subscriber that writes lines to `writer`: the time (RFC 3339, UTC), the level, the message and the fields.
pub fn subscriber<W>(log: &Log, colour: Colour, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let targets = log.level.to_targets();
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(colour == Colour::On)
        // Internal errors would be printed with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false)
        .with_writer(writer);
    match log.format {
        LogFormat::Text => Box::new(builder.finish().with(targets)),
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish()
                .with(targets),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: LogFormat, colour: Colour) -> String {
        let log = Log { level: level.parse().unwrap(), format };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(&log, colour, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(account = "acme", "no answer");
            tracing::info!(target: "other", "filtered out");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Whether `text` is a time in RFC 3339 and UTC.
    fn is_date(text: &str) -> bool {
        text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
    }

    #[test]
    fn text_has_a_date_a_level_and_fields_and_colours_only_if_asked_for() {
        let text = logged("info,other=off", LogFormat::Text, Colour::Off);
        let (date, rest) = text.split_once(' ').unwrap();
        assert!(is_date(date), "{text}");
        assert_eq!(rest, " WARN zt_risk_exporter::app::logging::tests: no answer account=\"acme\"\n");
        assert!(logged("info", LogFormat::Text, Colour::On).contains('\u{1b}'));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged("warn", LogFormat::Json, Colour::On);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(line["timestamp"].as_str().is_some_and(is_date), "{text}");
        let fields = ["level", "target", "message", "account"].map(|name| line[name].as_str().unwrap());
        assert_eq!(fields, ["WARN", "zt_risk_exporter::app::logging::tests", "no answer", "acme"]);
    }
}
