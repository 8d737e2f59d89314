//! What became of the records of the feed.

use crate::feed::hub::Feed;
use crate::feed::record::RecordKind;
use crate::metrics::encode::Writer;
use crate::metrics::families::exporter as f;

/// Why records are given up: the buffer is full.
const BUFFER_FULL: &str = "buffer_full";

/// Writes the metrics of a feed. This never waits for a sink.
pub(super) fn write(feed: &Feed, writer: &mut Writer) {
    let levels: Vec<_> = feed.sinks().iter().map(|sink| (*sink, feed.level(*sink))).collect();
    let mut out = writer.family(&f::FEED_WRITTEN);
    for (sink, _) in &levels {
        for kind in RecordKind::ALL {
            out.put([sink.as_str(), kind.as_str()], feed.stats(*sink).written(*kind));
        }
    }
    let mut out = writer.family(&f::FEED_PENDING);
    for (sink, level) in &levels {
        out.put([sink.as_str()], level.records);
    }
    let mut out = writer.family(&f::FEED_OLDEST_PENDING);
    for (sink, level) in &levels {
        if let Some(oldest) = level.oldest {
            out.put([sink.as_str()], oldest);
        }
    }
    let mut out = writer.family(&f::FEED_DROPPED);
    for (sink, level) in &levels {
        out.put([sink.as_str(), BUFFER_FULL], level.dropped);
    }
    let mut out = writer.family(&f::FEED_FAILURES);
    for (sink, _) in &levels {
        out.put([sink.as_str()], feed.stats(*sink).failures());
    }
    let mut out = writer.family(&f::FEED_LAST_SUCCESS);
    for (sink, _) in &levels {
        if let Some(date) = feed.stats(*sink).last_success() {
            out.put([sink.as_str()], date);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::Timestamp;
    use crate::feed::outbox::Draft;
    use crate::feed::record::Content;
    use crate::feed::saved::SavedFeed;
    use crate::feed::{Format, SinkKind};
    use crate::metrics::encode;
    use crate::metrics::families::exporter;

    #[test]
    fn the_metrics_of_a_feed_are_those_declared() {
        let feed = Feed::new(vec![SinkKind::Stdout], 100);
        let date = Timestamp::from_seconds(1_795_219_200);
        let outbox = feed.outbox(("a", "a"), SavedFeed::default(), Format::Json, date);
        let content = Content::Reset { previous: None };
        outbox.push("a", Draft { time: date, subject: None, user: None, content }, date, Format::Json);
        let mut writer = encode::Writer::new(encode::Format::Text, 4_096);
        write(&feed, &mut writer);
        let text = writer.last_part();
        for line in [
            "zt_risk_exporter_feed_records_written_total{sink=\"stdout\",kind=\"risk_event\"} 0",
            "zt_risk_exporter_feed_pending_records{sink=\"stdout\"} 1",
            "zt_risk_exporter_feed_oldest_pending_timestamp_seconds{sink=\"stdout\"} 1795219200",
            "zt_risk_exporter_feed_records_dropped_total{sink=\"stdout\",reason=\"buffer_full\"} 0",
            "zt_risk_exporter_feed_write_failures_total{sink=\"stdout\"} 0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in\n{text}");
        }
        let is: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let declared = exporter::ALL.iter().filter(|family| family.name.contains("_feed_"));
        let missing: Vec<_> = declared
            .filter(|family| !is.contains(format!("{} {}", family.name, family.kind.as_str()).as_str()))
            .map(|family| family.name)
            .collect();
        // Nothing was written yet.
        assert!(
            missing.iter().all(|name| *name == "zt_risk_exporter_feed_last_success_timestamp_seconds"),
            "{missing:?}"
        );
    }
}
