//! The feed: what happens at the simulator, line by line, whatever happens to the exporter and its disk.

mod failures;
mod kills;
mod kinds;
mod rig;

/// A time with three decimals of its second, as every record has it.
fn with_milliseconds(time: &str) -> String {
    let (second, decimals) =
        time.trim_end_matches('Z').split_once('.').unwrap_or((time.trim_end_matches('Z'), ""));
    format!("{second}.{decimals:0<3}Z")
}
