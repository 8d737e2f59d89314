//! Command line in, exit code out.
//!
//! 0 if all is well, 1 if something went wrong while running, 2 if the command line or the configuration
//! must be mended; an operator's commands have more. What went wrong is said once, on standard error.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::runtime::{Builder, Runtime};
use zt_risk_exporter::cli::operator::Operator;
use zt_risk_exporter::cli::{
    Backfill, Check, Cli, Command, Flags, Healthcheck, Output, Plan, Simulate, State, StateFile,
};
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::config::{Config, Local, Shard};
use zt_risk_exporter::log::Colour;
use zt_risk_exporter::simulator::Scenario;
use zt_risk_exporter::{app, backfill, check, config, healthcheck, inspect, log, operator, plan};

/// Why the process does not end well.
enum Failure {
    /// A person must mend the command line or the configuration.
    Usage(Box<dyn Error>),
    /// It could not be done.
    Runtime(Box<dyn Error>),
    /// A command of an operator ends with a code of its own.
    Operator(operator::Failure),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // The help and the version are "errors" too, with exit code 0; a broken pipe is nobody's loss.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli.into_command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "zt-risk-exporter: {failure}");
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(flags) => {
            let config = configure(&flags)?;
            drive(serving()?, app::serve(&config)).map_err(Failure::runtime)
        }
        Command::Demo(demo) => {
            let local = Local::load(&demo.flags(), std::env::vars_os())?;
            log::start(&local.log).map_err(Failure::runtime)?;
            drive(serving()?, app::demo(&demo, local, show)).map_err(Failure::runtime)
        }
        Command::Simulate(simulate) => simulate_api(&simulate),
        Command::Check(flags) => try_each_endpoint(&flags),
        Command::Operator(command) => operate(&command),
        Command::Plan(flags) => work_out(&flags),
        Command::Backfill(flags) => write_past(&flags),
        Command::Healthcheck(flags) => ask_health(&flags),
        Command::State(action) => inspect_state(&action),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "zt-risk-exporter", &mut script);
            say(&script)
        }
    }
}

/// The configuration, with logs going where it says.
fn configure(flags: &Flags) -> Result<Config, Failure> {
    let config = Config::load(flags, std::env::vars_os())?;
    log::start(&config.log).map_err(Failure::runtime)?;
    for warning in &config.warnings {
        tracing::warn!(warning, "a part of the configuration is not used");
    }
    tell_shard(&config);
    Ok(config)
}

/// Says which accounts are watched here, where others are watched elsewhere.
fn tell_shard(config: &Config) {
    let Shard { index, total } = config.shard;
    let aliases: Vec<_> = config.accounts.iter().map(|account| account.alias.as_str()).collect();
    match aliases.as_slice() {
        _ if total == 1 => {}
        [] => tracing::info!(index, total, "no account is this shard's: the others have them all"),
        _ => tracing::info!(index, total, accounts = aliases.join(", "), "this shard has these accounts"),
    }
}

fn simulate_api(simulate: &Simulate) -> Result<(), Failure> {
    let local = Local::load(&simulate.log.flags(), std::env::vars_os())?;
    log::start(&local.log).map_err(Failure::runtime)?;
    let scenario = match &simulate.scenario {
        Some(path) => {
            let usage = |why: &dyn fmt::Display| {
                Failure::Usage(format!("the scenario {}: {why}", path.display()).into())
            };
            let text = std::fs::read_to_string(path).map_err(|error| usage(&error))?;
            let scenario = Scenario::from_yaml(&text).map_err(|error| usage(&error))?;
            if scenario.accounts.is_empty() {
                return Err(usage(&"it lists no accounts, so there is nothing to ask for"));
            }
            scenario
        }
        None => match simulate.story {
            Some(story) => Scenario::of_story(story, simulate.speed),
            None => Scenario {
                speed: simulate.speed,
                ..Scenario::generated(simulate.world.users, simulate.world.seed)
            },
        },
    };
    drive(serving()?, app::simulate(simulate, scenario, show)).map_err(Failure::runtime)
}

fn try_each_endpoint(flags: &Check) -> Result<(), Failure> {
    let config = configure(&flags.flags())?;
    let report = drive(waiting()?, check::run(&config, &Clock::system()));
    say(report.show(Colour::for_stream(&io::stdout()), check::terminal_width()).as_bytes())?;
    match report.failures() {
        0 => Ok(()),
        1 => Err(Failure::runtime("one check failed")),
        failures => Err(Failure::runtime(format!("{failures} checks failed"))),
    }
}

fn operate(command: &Operator) -> Result<(), Failure> {
    let config = configure(&command.flags())?;
    let report = drive(waiting()?, operator::run(command, &config, &Clock::system()));
    let (output, colour) = (command.common().output, Colour::for_stream(&io::stdout()));
    let said = say(report.show(output, colour, check::terminal_width()).as_bytes());
    for remark in report.remarks() {
        // What nobody reads need not be written.
        let _ = writeln!(io::stderr(), "zt-risk-exporter: {remark}");
    }
    // How a change ended matters more than that standard output is full.
    report.end().map_err(Failure::Operator).and(said)
}

fn work_out(flags: &Plan) -> Result<(), Failure> {
    let load = match flags.users {
        Some(users) => {
            let local = Local::load(&flags.flags(), std::env::vars_os())?;
            log::start(&local.log).map_err(Failure::runtime)?;
            let load = plan::assumed(users, flags.page_size, &local.intervals);
            load.map_err(|why| Failure::Usage(why.into()))?
        }
        None => {
            let config = configure(&flags.flags())?;
            let account = config.account(flags.account.as_deref())?;
            drive(waiting()?, plan::survey(&config, account, &Clock::system())).map_err(Failure::runtime)?
        }
    };
    let plan = plan::Plan::of(flags.over(load));
    say(match flags.output {
        Output::Table => plan::as_table(&plan, check::terminal_width()),
        Output::Json => plan::as_json(&plan),
        Output::Csv => plan::as_csv(&plan),
    }
    .as_bytes())
}

fn write_past(flags: &Backfill) -> Result<(), Failure> {
    let config = configure(&flags.flags())?;
    let account = config.account(flags.account.as_deref())?;
    let report = drive(waiting()?, backfill::run(flags, &config, account, &Clock::system()));
    let report = report.map_err(|error| match error {
        backfill::Error::Usage(_) => Failure::Usage(error.into()),
        _ => Failure::runtime(error),
    })?;
    say(report.to_string().as_bytes())
}

fn ask_health(flags: &Healthcheck) -> Result<(), Failure> {
    let url = match &flags.url {
        Some(url) => url.clone(),
        None => healthcheck::url(&Local::load(&flags.flags(), std::env::vars_os())?.web.listen),
    };
    drive(waiting()?, healthcheck::ask(&url)).map_err(|error| match error {
        healthcheck::Error::Url(_) => Failure::Usage(error.into()),
        _ => Failure::runtime(error),
    })?;
    say(format!("{url} answers 200\n").as_bytes())
}

fn inspect_state(action: &State) -> Result<(), Failure> {
    let (State::Show(file) | State::Check(file) | State::Forget { file, .. }) = action;
    let path = state_path(file)?;
    let said = match action {
        State::Show(_) => inspect::show(&path),
        State::Check(_) => inspect::check(&path),
        State::Forget { user, .. } => inspect::forget(&path, *user, Clock::system().date()),
    };
    say(said.map_err(Failure::runtime)?.as_bytes())
}

/// The file that the flags name, or the configuration.
fn state_path(file: &StateFile) -> Result<PathBuf, Failure> {
    if let Some(path) = &file.path {
        return Ok(path.clone());
    }
    let local = Local::load(&file.flags(), std::env::vars_os())?;
    let missing = "no state file is named: give --state.path, or a configuration with state.path";
    local.state.map(|state| state.path).ok_or_else(|| Failure::Usage(missing.into()))
}

/// A runtime for commands that serve: one thread may be busy with a long list while another answers.
fn serving() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::runtime)
}

/// A runtime for commands that ask one thing after the other.
fn waiting() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(Failure::runtime)
}

/// Runs `work` to its end and waits for nothing else: a name that is being looked up, or a world that is
/// being built, has a thread that cannot be stopped.
fn drive<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    ended
}

/// As [`say`], where nothing depends on being heard.
fn show(text: &str) {
    let _ = say(text.as_bytes());
}

/// Writes to standard output; a reader that is gone is no failure.
fn say(text: &[u8]) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::runtime(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

impl Failure {
    fn runtime(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Runtime(error.into())
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Runtime(_) => 1,
            Self::Operator(failure) => failure.exit_code(),
        })
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::Usage(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) | Self::Runtime(error) => write!(f, "{error}"),
            Self::Operator(failure) => write!(f, "{failure}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hangs_delays_no_end() {
        for runtime in [serving(), waiting()] {
            let runtime = runtime.unwrap_or_else(|failure| panic!("{failure}"));
            let (hanging, hangs) = std::sync::mpsc::sync_channel(1);
            let ended = drive(runtime, async {
                tokio::task::spawn_blocking(move || {
                    hanging.send(()).expect("somebody waits for it");
                    loop {
                        std::thread::park();
                    }
                });
                hangs.recv().is_ok()
            });
            assert!(ended);
        }
    }
}
