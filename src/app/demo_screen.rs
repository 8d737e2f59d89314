//! The first screen of the demo: what there is to see, and what to try next.

use super::Demo;
use super::paste::quoted;

/// What the demo prints once it runs. `url` is where the exporter listens, `metrics` the path of the metrics there, and
/// `exports` sets the variables with which the other commands ask the simulated account.
pub(super) fn first_screen(demo: &Demo, url: &str, metrics: &str, exports: &str) -> String {
    let program = quoted(&demo.program);
    let (world, next) = match demo.story {
        Some(story) => (
            format!("The story \"{}\" in a simulated account", story.as_str()),
            "Each step of the story is printed below as it happens, in UTC. docs/drills.md says which\n\
             alerts it makes fire, and how to run a Prometheus for them.\n"
                .to_owned(),
        ),
        None => (
            format!("A simulated account of {} users", demo.users),
            format!(
                "To see an attack that makes two alerts fire, stop this and start:\n\
                 \n  {program} demo --story campaign\n"
            ),
        ),
    };
    format!(
        "{world}, {speed} times as busy as a real one,\n\
         and an exporter that watches it.\n\
         \n\
         Live page:     {url}/\n\
         \x20              users at risk by level, events by behavior, how fresh the data is\n\
         Metrics:       {url}{metrics}\n\
         \x20              what Prometheus reads; the counters rise within seconds\n\
         \n\
         To ask who is at risk, and for which behaviors, paste into another terminal:\n\
         \n\
         {exports}\
         {program} users --level high\n\
         {program} behaviors\n\
         \n\
         Then, with a name or an e-mail address from that table, see why, and end it:\n\
         \n\
         \x20 {program} user NAME\n\
         \x20 {program} reset NAME\n\
         \n\
         {next}\
         \n\
         Stop with Ctrl-C.\n",
        speed = demo.speed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Story;

    #[test]
    fn the_first_screen_says_what_to_see_and_what_to_try_next() {
        let demo =
            |story| Demo { users: 1_000, seed: 1, story, speed: 600.0, program: "zt-risk-exporter".into() };
        let screen = |story| first_screen(&demo(story), "http://127.0.0.1:10069", "/metrics", "export A=b\n");
        assert_eq!(
            screen(None),
            "A simulated account of 1000 users, 600 times as busy as a real one,\n\
             and an exporter that watches it.\n\
             \n\
             Live page:     http://127.0.0.1:10069/\n\
             \x20              users at risk by level, events by behavior, how fresh the data is\n\
             Metrics:       http://127.0.0.1:10069/metrics\n\
             \x20              what Prometheus reads; the counters rise within seconds\n\
             \n\
             To ask who is at risk, and for which behaviors, paste into another terminal:\n\
             \n\
             export A=b\n\
             zt-risk-exporter users --level high\n\
             zt-risk-exporter behaviors\n\
             \n\
             Then, with a name or an e-mail address from that table, see why, and end it:\n\
             \n\
             \x20 zt-risk-exporter user NAME\n\
             \x20 zt-risk-exporter reset NAME\n\
             \n\
             To see an attack that makes two alerts fire, stop this and start:\n\
             \n\
             \x20 zt-risk-exporter demo --story campaign\n\
             \n\
             Stop with Ctrl-C.\n"
        );
        for line in screen(None).lines() {
            assert!(line.chars().count() <= 80, "too long for a terminal: {line}");
        }
        let story = screen(Some(Story::Campaign));
        assert!(
            story.starts_with("The story \"campaign\" in a simulated account, 600 times as busy"),
            "{story}"
        );
        assert!(
            story.contains("\nEach step of the story is printed below") && !story.contains("demo --story")
        );
    }
}
