//! What the tests and the benches need of the private rooms, under the paths of the rooms.
//!
//! Nothing here is public in the sense of a stable interface. The list keeps everything else in the rooms private, so that
//! the compiler finds dead code there.

#[cfg(feature = "daemon")]
pub mod app {
    pub use crate::app::{Error, Exporter, Ports, Tuning};
    pub mod logging {
        pub use crate::app::logging::{Colour, subscriber};
    }
}

pub mod cloudflare {
    pub mod decode {
        pub use crate::cloudflare::decode::summary_rows;
    }
}

#[cfg(feature = "daemon")]
pub mod collector {
    pub mod account {
        pub use crate::collector::account::{Account, Fetch, Hold, Settings, Step};
    }
    pub mod ledger {
        pub use crate::collector::ledger::{DetailRequest, FetchReason, Loss};
    }
    pub mod persist {
        pub use crate::collector::persist::{Document, Now, Saved, write_spending};
    }
    pub mod poller {
        pub use crate::collector::poller::save;
    }
    pub mod queue {
        pub use crate::collector::queue::Queue;
    }
    pub mod schedule {
        pub use crate::collector::schedule::{FailureClass, Purpose, Schedule};
    }
    pub mod user_label {
        pub use crate::collector::user_label::UserLabel;
    }
}

#[cfg(feature = "daemon")]
pub mod commands {
    pub use crate::commands::Cli;
    pub mod backfill {
        pub use crate::commands::backfill::{Backfill, Display, Error, Report, run};
    }
    pub mod check {
        pub use crate::commands::check::{Report, run};
    }
    pub mod plan {
        pub use crate::commands::plan::{Aim, Basis, Load, Plan, Verdict};
    }
}

#[cfg(feature = "daemon")]
pub mod config {
    pub use crate::config::{
        Config, CredentialSource, Error, Flags, IdentityPolicy, Local, LogFormat, Sockets, WebFlags,
    };
    pub mod keys {
        pub use crate::config::keys::{ALL, Change, Key};
    }
}

pub mod http {
    pub use crate::http::{
        Abort, Body, CloseReason, CommonHeaders, ConnectionStats, Connections, Limits, Listener, Security,
        full, plain_text, serve,
    };
}

#[cfg(feature = "daemon")]
pub mod metrics {
    pub mod encode {
        pub use crate::metrics::encode::Format;
    }
    pub mod exposition {
        pub use crate::metrics::exposition::{
            Coding, Compressor, Deflated, Encoder, Exposition, Form, Part, encode,
        };
    }
    pub mod family {
        pub use crate::metrics::family::Kind;
    }
    pub mod families {
        pub mod cloudflare {
            pub use crate::metrics::families::cloudflare::ALL;
        }
        pub mod exporter {
            pub use crate::metrics::families::exporter::ALL;
        }
    }
    pub mod telemetry {
        pub use crate::metrics::telemetry::{
            BaselineState, IncidentCause, IncidentSource, Rejection, Telemetry,
        };
    }
}

#[cfg(feature = "daemon")]
pub mod model {
    pub mod resource {
        pub use crate::model::resource::Intervals;
    }
}

#[cfg(feature = "daemon")]
pub mod server {
    pub use crate::server::{Parts, Readiness, Sockets, run};
    pub mod demand {
        pub use crate::server::demand::Demand;
    }
    pub mod publisher {
        pub use crate::server::publisher::{Outputs, Source, run};
    }
    pub mod lifecycle {
        pub use crate::server::lifecycle::{Lifecycle, ReloadRequest, ReloadResult};
    }
    pub mod status {
        pub use crate::server::status::{Query, Recorder, Status};
    }
}

#[cfg(feature = "daemon")]
pub mod store {
    pub use crate::store::{Batch, Error, Generation, Recovery, Settings, State, StoreStats, Written};
    pub mod row {
        pub use crate::store::row::{FORMAT, Put, Table};
    }
}

#[cfg(feature = "daemon")]
pub mod web {
    pub use crate::web::{Checked, Web};
}
