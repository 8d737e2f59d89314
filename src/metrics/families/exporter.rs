//! Every metric about this process: the only place for its name, type, help and labels.
//! [`crate::metrics::families::cloudflare`] has the metrics about Cloudflare.

use super::families;
use crate::metrics::family::{Family, Kind};

families! {
    /// Every family in this file.
    ALL

    pub(crate) const BUILD_INFO: Family<1> = Family {
        name: "zt_risk_exporter_build_info",
        kind: Kind::Gauge,
        help: "Always 1; the version of the exporter.",
        labels: ["version"],
    };

    pub(crate) const REQUESTS: Family<3> = Family {
        name: "zt_risk_exporter_requests_total",
        kind: Kind::Counter,
        help: "Requests sent to Cloudflare, by resource and outcome.",
        labels: ["account", "resource", "outcome"],
    };

    pub(crate) const REQUEST_DURATION: Family<1> = Family {
        name: "zt_risk_exporter_request_duration_seconds",
        kind: Kind::Histogram,
        help: "Time from sending a request to the end of its answer.",
        labels: ["resource"],
    };

    pub(crate) const RETRIES: Family<1> = Family {
        name: "zt_risk_exporter_retries_total",
        kind: Kind::Counter,
        help: "Requests to Cloudflare that were sent again after a temporary failure.",
        labels: ["resource"],
    };

    pub(crate) const BUDGET_LIMIT: Family<1> = Family {
        name: "zt_risk_exporter_budget_limit_requests",
        kind: Kind::Gauge,
        help: "Requests that may be sent in five minutes; accounts with the same credential share them.",
        labels: ["account"],
    };

    pub(crate) const BUDGET_REMAINING: Family<1> = Family {
        name: "zt_risk_exporter_budget_remaining_requests",
        kind: Kind::Gauge,
        help: "Requests that may still be sent now; accounts with the same credential share them.",
        labels: ["account"],
    };

    pub(crate) const BLOCKED_UNTIL: Family<1> = Family {
        name: "zt_risk_exporter_blocked_until_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Until when no request is sent because Cloudflare's rate limit was exceeded, or because none is left and the list of users is overdue; absent otherwise.",
        labels: ["account"],
    };

    pub(crate) const POLL_INTERVAL: Family<2> = Family {
        name: "zt_risk_exporter_poll_interval_seconds",
        kind: Kind::Gauge,
        help: "How often the resource is read: the configured interval, or a longer one if the budget requires it.",
        labels: ["account", "resource"],
    };

    pub(crate) const TOKEN_EXPIRY: Family<1> = Family {
        name: "zt_risk_exporter_token_expiry_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the account's API token expires; absent if it does not expire or if that is unknown.",
        labels: ["account"],
    };

    pub(crate) const EXPOSITION_SIZE: Family<0> = Family {
        name: "zt_risk_exporter_exposition_size_bytes",
        kind: Kind::Gauge,
        help: "Size of the cached part of /metrics, uncompressed.",
        labels: [],
    };

    pub(crate) const EXPOSITION_BUILD: Family<0> = Family {
        name: "zt_risk_exporter_exposition_build_seconds",
        kind: Kind::Gauge,
        help: "Time it took to encode and compress the latest cached part of /metrics in the formats that are scraped.",
        labels: [],
    };

    pub(crate) const SCRAPES: Family<1> = Family {
        name: "zt_risk_exporter_scrapes_total",
        kind: Kind::Counter,
        help: "Scrapes answered, including this one, by format.",
        labels: ["format"],
    };

    pub(crate) const WEB_REJECTED: Family<1> = Family {
        name: "zt_risk_exporter_web_requests_rejected_total",
        kind: Kind::Counter,
        help: "Requests that the web configuration refused, by reason.",
        labels: ["reason"],
    };

    pub(crate) const WEB_HANDSHAKE_FAILURES: Family<0> = Family {
        name: "zt_risk_exporter_web_tls_handshake_failures_total",
        kind: Kind::Counter,
        help: "TLS handshakes that failed.",
        labels: [],
    };

    pub(crate) const WEB_CERTIFICATE_NOT_AFTER: Family<0> = Family {
        name: "zt_risk_exporter_web_certificate_not_after_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the exporter's certificate expires; absent without TLS.",
        labels: [],
    };

    pub(crate) const WEB_CONNECTIONS: Family<0> = Family {
        name: "zt_risk_exporter_web_connections",
        kind: Kind::Gauge,
        help: "Open connections to the exporter's HTTP server.",
        labels: [],
    };

    pub(crate) const WEB_CONNECTIONS_CLOSED: Family<1> = Family {
        name: "zt_risk_exporter_web_connections_closed_total",
        kind: Kind::Counter,
        help: "Connections that the exporter closed or could not accept, by reason.",
        labels: ["reason"],
    };

    pub(crate) const WEB_UNSENT_BYTES: Family<0> = Family {
        name: "zt_risk_exporter_web_unsent_bytes",
        kind: Kind::Gauge,
        help: "Size of answers that clients have not received yet; a buffer that several answers share counts once.",
        labels: [],
    };

    pub(crate) const STATE_DURABLE: Family<0> = Family {
        name: "zt_risk_exporter_state_durable",
        kind: Kind::Gauge,
        help: "1 if counters survive a restart, 0 if they are kept in memory only.",
        labels: [],
    };

    pub(crate) const STATE_SIZE: Family<0> = Family {
        name: "zt_risk_exporter_state_size_bytes",
        kind: Kind::Gauge,
        help: "Size of the state file; 0 if there is none.",
        labels: [],
    };

    pub(crate) const STATE_COMMITS: Family<1> = Family {
        name: "zt_risk_exporter_state_commits_total",
        kind: Kind::Counter,
        help: "Attempts to write to the state file, by result.",
        labels: ["result"],
    };

    pub(crate) const STATE_RECOVERIES: Family<1> = Family {
        name: "zt_risk_exporter_state_recoveries_total",
        kind: Kind::Counter,
        help: "Attempts to restore the state file, by result.",
        labels: ["result"],
    };

    pub(crate) const BASELINE_READABLE: Family<1> = Family {
        name: "zt_risk_exporter_baseline_readable",
        kind: Kind::Gauge,
        help: "1 if the account's baseline of behaviors was usable when the configuration was last read, 0 if not; absent without one.",
        labels: ["account"],
    };

    pub(crate) const FEED_WRITTEN: Family<2> = Family {
        name: "zt_risk_exporter_feed_records_written_total",
        kind: Kind::Counter,
        help: "Records of the feed that were written, by sink and kind. Only with a feed.",
        labels: ["sink", "kind"],
    };

    pub(crate) const FEED_PENDING: Family<1> = Family {
        name: "zt_risk_exporter_feed_pending_records",
        kind: Kind::Gauge,
        help: "Records that are counted and not written yet. Only with a feed.",
        labels: ["sink"],
    };

    pub(crate) const FEED_OLDEST_PENDING: Family<1> = Family {
        name: "zt_risk_exporter_feed_oldest_pending_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the oldest of these was recorded; absent if there is none. Only with a feed.",
        labels: ["sink"],
    };

    pub(crate) const FEED_DROPPED: Family<2> = Family {
        name: "zt_risk_exporter_feed_records_dropped_total",
        kind: Kind::Counter,
        help: "Records that were given up, by reason. Only with a feed.",
        labels: ["sink", "reason"],
    };

    pub(crate) const FEED_FAILURES: Family<1> = Family {
        name: "zt_risk_exporter_feed_write_failures_total",
        kind: Kind::Counter,
        help: "Attempts to write that failed, and ends of a file that are no record. Only with a feed.",
        labels: ["sink"],
    };

    pub(crate) const FEED_LAST_SUCCESS: Family<1> = Family {
        name: "zt_risk_exporter_feed_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When a record was last written; absent before the first one. Only with a feed.",
        labels: ["sink"],
    };

    pub(crate) const CONFIG_RELOADED: Family<0> = Family {
        name: "zt_risk_exporter_config_last_reload_successful",
        kind: Kind::Gauge,
        help: "1 if the configuration and the credential files could be read, 0 if the last read failed and older values are in use.",
        labels: [],
    };

    pub(crate) const CONFIG_RELOAD_TIME: Family<0> = Family {
        name: "zt_risk_exporter_config_last_reload_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the configuration that is in use was read.",
        labels: [],
    };

    pub(crate) const TOKEN_FILES: Family<1> = Family {
        name: "zt_risk_exporter_token_files",
        kind: Kind::Gauge,
        help: "Files in accounts_from.tokens_dir, of all shards, by result; absent without that directory.",
        labels: ["result"],
    };

    pub(crate) const DISCOVERED_ACCOUNTS: Family<2> = Family {
        name: "zt_risk_exporter_discovered_accounts",
        kind: Kind::Gauge,
        help: "Accounts that were found with the token, by state; absent without discovery.",
        labels: ["token_file", "state"],
    };

    pub(crate) const DISCOVERY_LAST_SUCCESS: Family<1> = Family {
        name: "zt_risk_exporter_discovery_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the accounts of the token were last listed as a whole.",
        labels: ["token_file"],
    };

    pub(crate) const DISCOVERY_READINGS: Family<2> = Family {
        name: "zt_risk_exporter_discovery_readings_total",
        kind: Kind::Counter,
        help: "Attempts to list the accounts of the token, by outcome.",
        labels: ["token_file", "outcome"],
    };

    pub(crate) const LOG_LINES_DROPPED: Family<0> = Family {
        name: "zt_risk_exporter_log_lines_dropped_total",
        kind: Kind::Counter,
        help: "Log lines that were dropped because standard error was not read fast enough.",
        labels: [],
    };

    pub(crate) const PROCESS_CPU: Family<0> = Family {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "User and system CPU time spent.",
        labels: [],
    };

    pub(crate) const PROCESS_OPEN_FDS: Family<0> =
        Family { name: "process_open_fds", kind: Kind::Gauge, help: "Open file descriptors.", labels: [] };

    pub(crate) const PROCESS_MAX_FDS: Family<0> = Family {
        name: "process_max_fds",
        kind: Kind::Gauge,
        help: "Maximum number of open file descriptors; absent if there is no limit.",
        labels: [],
    };

    pub(crate) const PROCESS_VIRTUAL_MEMORY: Family<0> = Family {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        help: "Virtual memory size.",
        labels: [],
    };

    pub(crate) const PROCESS_RESIDENT_MEMORY: Family<0> = Family {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Resident memory size.",
        labels: [],
    };

    pub(crate) const PROCESS_START_TIME: Family<0> = Family {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the process started.",
        labels: [],
    };

    pub(crate) const PROCESS_THREADS: Family<0> =
        Family { name: "process_threads", kind: Kind::Gauge, help: "Operating system threads.", labels: [] };
}
