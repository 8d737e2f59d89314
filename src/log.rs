//! Logs: to standard error, as text for people or JSON for machines.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// With escape sequences, for a terminal.
    On,
    /// Without.
    Off,
}

/// Sends what is logged to standard error from here on.
///
/// # Errors
/// Logs of this process go somewhere already.
pub fn start(log: &Log) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let colour = if wanted && io::stderr().is_terminal() {
        Colour::On
    } else {
        Colour::Off
    };
    tracing::subscriber::set_global_default(subscriber(log, colour, io::stderr))
}

/// What writes log lines to `writer`: a time in RFC 3339 and UTC, the level, the fields.
pub fn subscriber<W>(log: &Log, colour: Colour, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(log.level.to_env_filter())
        .with_ansi(colour == Colour::On)
        .with_writer(writer);
    match log.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
    }
}
