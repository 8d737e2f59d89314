//! The page at `/`: what this is, how it is doing, and where to go from here.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::{Endpoint, Level, Snapshot};

/// The page in HTML, as of `now`. It loads nothing and runs nothing.
pub(super) fn page(snapshots: &[Arc<Snapshot>], now: Timestamp) -> String {
    let mut rows = String::new();
    for snapshot in snapshots {
        let [account, state, read, users] =
            [&snapshot.account.alias, state(snapshot), &last_read(snapshot, now), &users(snapshot)]
                .map(escaped);
        writeln!(
            rows,
            "<tr><th scope=\"row\">{account}</th><td>{state}</td><td>{read}</td><td>{users}</td></tr>"
        )
        .expect("a string takes whatever is written to it");
    }
    format!(
        "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>zt-risk-exporter</title>
</head>
<body>
<h1>zt-risk-exporter {version}</h1>
<p>{description}.</p>
<table>
<thead><tr><th scope=\"col\">Account</th><th scope=\"col\">State</th><th scope=\"col\">Users last read</th>\
<th scope=\"col\">Users at risk</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
<ul>
<li><a href=\"/metrics\">Metrics</a></li>
<li><a href=\"/-/healthy\">Health</a></li>
<li><a href=\"/-/ready\">Readiness</a></li>
</ul>
</body>
</html>
",
        version = env!("CARGO_PKG_VERSION"),
        description = env!("CARGO_PKG_DESCRIPTION"),
    )
}

fn state(snapshot: &Snapshot) -> &'static str {
    match snapshot.up {
        Some(true) => "up",
        Some(false) => "the latest attempt to read the users failed",
        None => "not asked yet",
    }
}

fn last_read(snapshot: &Snapshot, now: Timestamp) -> String {
    match snapshot.last_success.get(&Endpoint::Summary) {
        Some(date) => format!("{} ago", age(now.since(*date))),
        None => "never".to_owned(),
    }
}

fn users(snapshot: &Snapshot) -> String {
    let Some(users) = &snapshot.users else {
        return "unknown".to_owned();
    };
    let counts = Level::ALL.into_iter().zip(users.count).rev();
    let words: Vec<String> = counts
        .map(|(level, count)| match level {
            Level::Unknown => format!("{count} of unknown level"),
            level => format!("{count} {}", level.as_str()),
        })
        .collect();
    words.join(", ")
}

/// In the largest unit of which there are two.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_the_largest_unit_of_which_there_are_two() {
        for (seconds, wanted) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), wanted, "{seconds} seconds");
        }
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<a href='x'>\"&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;");
    }
}
