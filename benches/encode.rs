//! The cost of a change of an account: encoding the exposition in each form, and in all forms.

#[path = "../tests/shared/accounts.rs"]
mod accounts;

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zt_risk_exporter::internals::metrics::encode::Format;
use zt_risk_exporter::internals::metrics::exposition::{Coding, Encoder, Form, encode};

fn expositions(criterion: &mut Criterion) {
    for (name, accounts, users) in [("1 account, 100 users", 1, 100), ("20 accounts, 75 users each", 20, 75)]
    {
        let snapshots = accounts::many(accounts, users);
        let size = encode(Format::Text, &snapshots).len();
        let mut group = criterion.benchmark_group(format!("exposition of {name}"));
        group.throughput(Throughput::Bytes(size as u64));
        let mut encoder = Encoder::new();
        for form in Form::ALL {
            let coding = match form.coding {
                Coding::Identity => "plain",
                Coding::Gzip => "compressed",
            };
            group.bench_function(format!("{}, {coding}", form.format.as_str()), |bencher| {
                bencher.iter(|| encoder.encode(black_box(&snapshots), &BTreeSet::from([form])));
            });
        }
        group.bench_function("all forms", |bencher| {
            bencher.iter(|| encoder.encode(black_box(&snapshots), &Form::ALL.into()));
        });
        group.finish();
    }
}

criterion_group!(benches, expositions);
criterion_main!(benches);
