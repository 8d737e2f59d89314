//! What a person can do about an error, in a sentence; docs/troubleshooting.md has the same at more length.

use crate::cloudflare::Outcome;
use crate::metrics::telemetry::Cause;

/// What to do about trouble of this cause.
pub(super) const fn what_to_do(cause: Cause) -> &'static str {
    match cause {
        Cause::Partial => {
            "Wait: it may be a change during the reading. If it stays, report it with the reason."
        }
        Cause::Request(outcome) => match outcome {
            Outcome::Ok => "Nothing.",
            Outcome::Credentials => "Copy the token again, exactly as Cloudflare showed it.",
            Outcome::Refused => {
                "Create a new token with the same permissions. Written into the token file, it is used at once."
            }
            Outcome::Forbidden => {
                "At Cloudflare, add to the token what the error names. The token stays the same, and is tried \
                 again every 5 minutes."
            }
            Outcome::NotEntitled => {
                "Ask Cloudflare's account team: user risk scoring is part of Enterprise plans."
            }
            Outcome::NotFound => "Compare the account id and cloudflare.base_url with what Cloudflare says.",
            Outcome::Limited => {
                "Wait. If it returns, give the exporter a token of a user of its own, or lower budget_share."
            }
            Outcome::Unavailable => {
                "Wait; see cloudflarestatus.com. If it lasts, check the network on the way to Cloudflare."
            }
            Outcome::Timeout => "Wait. If it lasts, check the network on the way to Cloudflare.",
            Outcome::Shape => "Check whether a proxy answers in Cloudflare's place. If not, report it.",
            Outcome::Invalid => "Report it, with the error: the exporter should not ask this.",
        },
    }
}
