//! The cost of a scrape: the samples about this process, and the whole exchange over a persistent connection.
//!
//! `cargo bench --bench scrape -- --serve 127.0.0.1:PORT ACCOUNTS USERS` serves the same exposition until it is stopped,
//! for `benches/compare-nginx`.

#[path = "../tests/shared/accounts.rs"]
mod accounts;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use criterion::{BatchSize, Criterion};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::internals::metrics::encode::Format;
use zt_risk_exporter::internals::metrics::exposition::{Coding, Compressor, Encoder, Form, Part};
use zt_risk_exporter::internals::metrics::telemetry::Telemetry;
use zt_risk_exporter::internals::server::demand::Demand;
use zt_risk_exporter::internals::server::lifecycle::Lifecycle;
use zt_risk_exporter::internals::server::{self, Parts, Readiness};

fn parts(accounts: u32, users: u32) -> Parts {
    let clock = Clock::system();
    let snapshots = accounts::many(accounts, users);
    let telemetry = Telemetry::new(clock.clone());
    telemetry.accounts(
        snapshots.iter().map(|snapshot| (snapshot.account.clone(), Budget::new(0.25, clock.clone()))),
    );
    Parts {
        exposition: watch::channel(Arc::new(Encoder::new().encode(&snapshots, &Form::ALL.into()))).1,
        demand: Demand::new(clock.clone()),
        telemetry,
        readiness: watch::channel(Readiness::Ready).1,
        status: None,
        lifecycle: Lifecycle::Disabled,
        clock,
        web: None,
        metrics_path: "/metrics".to_owned(),
        allowed_hosts: Vec::new(),
    }
}

/// One scrape as Prometheus does it; the bytes are thrown away.
fn scrape(stream: &mut BufReader<TcpStream>, headers: &str) -> u64 {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.get_mut().write_all(request.as_bytes()).expect("the server listens");
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).expect("the server answers");
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a length is a number");
        }
    }
    std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink()).expect("the body comes whole")
}

fn measure(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads can be started");
    for (name, accounts, users) in
        [("1 account, 1500 users", 1, 1_500), ("20 accounts, 75 users each", 20, 75)]
    {
        let parts = parts(accounts, users);
        let mut group = criterion.benchmark_group(format!("scrape of {name}"));
        for format in Format::ALL {
            group.bench_function(format!("own samples in {}", format.as_str()), |bencher| {
                bencher.iter(|| parts.telemetry.render(format));
            });
        }
        let exposition = Arc::clone(&parts.exposition.borrow());
        let compressed = Form { format: Format::Text, coding: Coding::Gzip };
        let Some(Part::Deflated(beginning)) = exposition.part(compressed) else {
            panic!("all forms were encoded");
        };
        let mut compressor = Compressor::new();
        group.bench_function("gzip of own samples", |bencher| {
            bencher.iter_batched(
                || parts.telemetry.render(Format::Text),
                |own| compressor.finish(beginning, own.as_bytes()),
                BatchSize::SmallInput,
            );
        });
        let address = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let address = listener.local_addr().expect("it is bound");
            tokio::spawn(server::run(listener, parts, std::future::pending()));
            address
        });
        for (coding, headers) in [("identity", ""), ("gzip", "Accept-Encoding: gzip\r\n")] {
            let stream = TcpStream::connect(address).expect("the server listens");
            let mut stream = BufReader::with_capacity(256 * 1024, stream);
            group.bench_function(format!("exchange, {coding}"), |bencher| {
                bencher.iter(|| scrape(&mut stream, headers));
            });
        }
        group.finish();
    }
}

fn serve(address: SocketAddr, accounts: u32, users: u32) {
    let runtime = Runtime::new().expect("threads can be started");
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        server::run(listener, parts(accounts, users), std::future::pending()).await;
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|word| word == "--serve").and_then(|at| arguments.get(at + 1..at + 4)) {
        Some([address, accounts, users]) => serve(
            address.parse().expect("an address and a port"),
            accounts.parse().expect("a number of accounts"),
            users.parse().expect("a number of users"),
        ),
        _ => {
            let mut criterion = Criterion::default().configure_from_args();
            measure(&mut criterion);
            criterion.final_summary();
        }
    }
}
