//! The cost of a change of an account: encoding the exposition, and encoding and compressing it in both formats.

#[path = "../tests/shared/accounts.rs"]
mod accounts;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zt_risk_exporter::internals::metrics::encode::Format;
use zt_risk_exporter::internals::metrics::exposition::{Compressor, Exposition, encode};

fn expositions(criterion: &mut Criterion) {
    for (name, accounts, users) in [("1 account, 100 users", 1, 100), ("20 accounts, 75 users each", 20, 75)]
    {
        let snapshots = accounts::many(accounts, users);
        let size = encode(Format::Text, &snapshots).len();
        let mut group = criterion.benchmark_group(format!("exposition of {name}"));
        group.throughput(Throughput::Bytes(size as u64));
        for format in Format::ALL {
            group.bench_function(format!("encode {}", format.as_str()), |bencher| {
                bencher.iter(|| encode(format, black_box(&snapshots)));
            });
        }
        let mut compressor = Compressor::new();
        group.bench_function("build", |bencher| {
            bencher.iter(|| Exposition::build(black_box(&snapshots), &mut compressor));
        });
        group.finish();
    }
}

criterion_group!(benches, expositions);
criterion_main!(benches);
