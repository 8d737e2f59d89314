//! What to do about an error, in one or two sentences. docs/troubleshooting.md says more.

use crate::cloudflare::Outcome;
use crate::metrics::telemetry::IncidentCause;

pub(super) const fn what_to_do(cause: IncidentCause) -> &'static str {
    match cause {
        IncidentCause::UserRefused => {
            "Nothing, unless it persists: the token is in order, and the user is tried again. Then look at the user at \
             Cloudflare."
        }
        IncidentCause::UserNotFound => {
            "Nothing, unless it persists: the user is tried again until the list leaves the user out. Then report it to \
             Cloudflare."
        }
        IncidentCause::Partial => {
            "Wait: the list may have changed while it was read, or its pages came too slowly, and it is read again. If the \
             error persists, report it with its reason."
        }
        IncidentCause::UnexpectedFields => {
            "Look at rejected_rows: if it rises, rows or events are missing from the metrics. Update the exporter, or report \
             the error."
        }
        IncidentCause::CredentialFile => {
            "Check the path, the permissions and the content of the file. Until then the exporter uses the credentials \
             that it read last."
        }
        IncidentCause::BaselineFile => {
            "Correct the file and reload the configuration; check --offline finds all mistakes. Until then the exporter \
             compares the behaviors with the baseline that it read last, if there is one."
        }
        IncidentCause::Request(outcome) => match outcome {
            Outcome::Ok => "Nothing.",
            Outcome::Credentials => "Copy the token again, exactly as Cloudflare showed it.",
            Outcome::Refused => {
                "Create a new token with the same permissions and write it to the token file. The exporter uses it at once. \
                 If the error names a location, allow the address of this machine in the token's IP address filter."
            }
            Outcome::Forbidden => {
                "Add the permission that the error names to the token at Cloudflare. The token stays the same; the \
                 exporter tries it again every 5 minutes."
            }
            Outcome::NotEntitled => {
                "Ask your Cloudflare account team: user risk scoring is part of Enterprise plans."
            }
            Outcome::NotFound => "Check the account id and cloudflare.base_url.",
            Outcome::Limited => {
                "Wait. If it happens again, give the exporter a token of a separate user, or lower budget_share."
            }
            Outcome::Unavailable => {
                "Wait; see cloudflarestatus.com. If the error persists, check the network to Cloudflare."
            }
            Outcome::Timeout => "Wait. If the error persists, check the network to Cloudflare.",
            Outcome::Shape => {
                "Check whether a proxy answers in place of Cloudflare. If not, report the error."
            }
            Outcome::Invalid => "Report the error: the exporter should not send this request.",
        },
    }
}
