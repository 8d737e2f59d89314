//! Every metric about this process, declared once; see [`crate::metrics::families::cloudflare`] for those about Cloudflare.

use super::families;
use crate::metrics::encode::{Family, Kind};

families! {
    /// Every family declared here.
    ALL

    /// Which build this is.
    pub(crate) const BUILD_INFO: Family<1> = Family {
        name: "zt_risk_exporter_build_info",
        kind: Kind::Gauge,
        help: "Always 1; the version of this exporter.",
        labels: ["version"],
    };

    /// Requests to Cloudflare, by how they ended.
    pub(crate) const REQUESTS: Family<3> = Family {
        name: "zt_risk_exporter_requests_total",
        kind: Kind::Counter,
        help: "Requests sent to Cloudflare, by endpoint and by how they ended.",
        labels: ["account", "endpoint", "outcome"],
    };

    /// How long Cloudflare takes.
    pub(crate) const REQUEST_DURATION: Family<1> = Family {
        name: "zt_risk_exporter_request_duration_seconds",
        kind: Kind::Histogram,
        help: "Time from sending a request to the end of its answer.",
        labels: ["endpoint"],
    };

    /// Requests that were sent again.
    pub(crate) const RETRIES: Family<1> = Family {
        name: "zt_risk_exporter_retries_total",
        kind: Kind::Counter,
        help: "Requests to Cloudflare that were sent again because they failed in passing.",
        labels: ["endpoint"],
    };

    /// What an account's credential may spend.
    pub(crate) const BUDGET_LIMIT: Family<1> = Family {
        name: "zt_risk_exporter_budget_limit_requests",
        kind: Kind::Gauge,
        help: "Requests that may be sent in five minutes; accounts with the same credential share them.",
        labels: ["account"],
    };

    /// What is left of it.
    pub(crate) const BUDGET_REMAINING: Family<1> = Family {
        name: "zt_risk_exporter_budget_remaining_requests",
        kind: Kind::Gauge,
        help: "Requests that may still be sent now; accounts with the same credential share them.",
        labels: ["account"],
    };

    /// Until when Cloudflare answers no request.
    pub(crate) const BLOCKED_UNTIL: Family<1> = Family {
        name: "zt_risk_exporter_blocked_until_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Until when nothing is sent because Cloudflare's rate limit was hit; absent if it was not.",
        labels: ["account"],
    };

    /// How often an endpoint is really read.
    pub(crate) const POLL_INTERVAL: Family<2> = Family {
        name: "zt_risk_exporter_poll_interval_seconds",
        kind: Kind::Gauge,
        help: "How often the endpoint is read: as configured, or more slowly where the budget demands it.",
        labels: ["account", "endpoint"],
    };

    /// Until when a token is good.
    pub(crate) const TOKEN_EXPIRY: Family<1> = Family {
        name: "zt_risk_exporter_token_expiry_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the account's API token expires; absent if it does not or if that is unknown.",
        labels: ["account"],
    };

    /// How large the page is.
    pub(crate) const PAGE_SIZE: Family<0> = Family {
        name: "zt_risk_exporter_page_size_bytes",
        kind: Kind::Gauge,
        help: "Size of the prepared part of the page, in text format and uncompressed.",
        labels: [],
    };

    /// How long the page took.
    pub(crate) const PAGE_BUILD: Family<0> = Family {
        name: "zt_risk_exporter_page_build_seconds",
        kind: Kind::Gauge,
        help: "Time that the latest page took to be encoded and compressed in both formats.",
        labels: [],
    };

    /// Pages handed out.
    pub(crate) const SCRAPES: Family<1> = Family {
        name: "zt_risk_exporter_scrapes_total",
        kind: Kind::Counter,
        help: "Scrapes answered, this one included, by format.",
        labels: ["format"],
    };

    /// Whether counters survive a restart.
    pub(crate) const STATE_DURABLE: Family<0> = Family {
        name: "zt_risk_exporter_state_durable",
        kind: Kind::Gauge,
        help: "1 if counters survive a restart, 0 if they are kept in memory only.",
        labels: [],
    };

    /// How large the state is on disk.
    pub(crate) const STATE_SIZE: Family<0> = Family {
        name: "zt_risk_exporter_state_size_bytes",
        kind: Kind::Gauge,
        help: "Size of the state on disk; 0 if it is kept in memory only.",
        labels: [],
    };

    /// Writes of the state.
    pub(crate) const STATE_COMMITS: Family<1> = Family {
        name: "zt_risk_exporter_state_commits_total",
        kind: Kind::Counter,
        help: "Attempts to write the state to disk, by result.",
        labels: ["result"],
    };

    /// Readings of the state at start.
    pub(crate) const STATE_RECOVERIES: Family<1> = Family {
        name: "zt_risk_exporter_state_recoveries_total",
        kind: Kind::Counter,
        help: "Attempts to restore the state from disk, by result.",
        labels: ["result"],
    };

    /// Whether the configuration in force is the latest that was asked for.
    pub(crate) const CONFIG_RELOADED: Family<0> = Family {
        name: "zt_risk_exporter_config_last_reload_successful",
        kind: Kind::Gauge,
        help: "1 if the configuration was read without error when it was last read, 0 if an older one is still in force.",
        labels: [],
    };

    /// CPU time.
    pub(crate) const PROCESS_CPU: Family<0> = Family {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "User and system CPU time spent.",
        labels: [],
    };

    /// Open files.
    pub(crate) const PROCESS_OPEN_FDS: Family<0> =
        Family { name: "process_open_fds", kind: Kind::Gauge, help: "Open file descriptors.", labels: [] };

    /// How many files may be open.
    pub(crate) const PROCESS_MAX_FDS: Family<0> = Family {
        name: "process_max_fds",
        kind: Kind::Gauge,
        help: "File descriptors that may be open at the same time; absent if there is no limit.",
        labels: [],
    };

    /// Address space.
    pub(crate) const PROCESS_VIRTUAL_MEMORY: Family<0> = Family {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        help: "Virtual memory size.",
        labels: [],
    };

    /// Memory.
    pub(crate) const PROCESS_RESIDENT_MEMORY: Family<0> = Family {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Resident memory size.",
        labels: [],
    };

    /// Since when the process runs.
    pub(crate) const PROCESS_START_TIME: Family<0> = Family {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the process started.",
        labels: [],
    };

    /// Threads.
    pub(crate) const PROCESS_THREADS: Family<0> =
        Family { name: "process_threads", kind: Kind::Gauge, help: "Operating system threads.", labels: [] };
}
