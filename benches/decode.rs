//! The cost of decoding a summary from bytes to compact rows. The target is 300 ns for each user.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zt_risk_exporter::cloudflare::{Bounds, Pii};
use zt_risk_exporter::internals::cloudflare::decode::summary_rows;

/// The size of one read from a socket.
const CHUNK: usize = 64 << 10;

/// A summary in Cloudflare's format, about 200 bytes for each user.
fn summary(users: u32) -> String {
    let mut random = fastrand::Rng::with_seed(3);
    let mut text = String::from(r#"{"errors":[],"messages":[],"success":true,"result":{"users":["#);
    for index in 0..users {
        let (id, level) =
            (uuid::Uuid::from_u128(random.u128(..)), ["low", "medium", "high"][random.usize(0..3)]);
        let (count, millis) = (random.u32(0..500), random.u32(0..1_000));
        let (hour, minute, second) = (random.u8(0..24), random.u8(0..60), random.u8(0..60));
        let comma = if index > 0 { "," } else { "" };
        write!(
            text,
            r#"{comma}{{"email":"user{index}@example.com","event_count":{count},"last_event":"2026-10-{:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z","max_risk_level":"{level}","name":"Given Family {index}","user_id":"{id}"}}"#,
            1 + index % 28,
        )
        .expect("a String takes any text");
    }
    text.push_str("]}}");
    text
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10);
    for users in [10_000_u32, 1_000_000] {
        let text = summary(users);
        group.throughput(Throughput::Elements(users.into()));
        for (name, names) in [("dropped", Pii::Drop), ("kept", Pii::Keep)] {
            group.bench_with_input(BenchmarkId::new(name, users), &text, |bencher, text| {
                bencher.iter(|| {
                    let rows = summary_rows(text.as_bytes().chunks(CHUNK), &Bounds::default(), names);
                    assert_eq!(black_box(rows.expect("the summary is whole")).len(), users as usize);
                });
            });
        }
    }
    group.finish();
}

/// Decompression of the same summary, because the API sends gzip.
fn inflate(criterion: &mut Criterion) {
    let users = 100_000;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(summary(users).as_bytes()).expect("a Vec takes any bytes");
    let packed = encoder.finish().expect("a Vec takes any bytes");
    let mut group = criterion.benchmark_group("inflate");
    group.sample_size(10).throughput(Throughput::Elements(users.into()));
    group.bench_function(BenchmarkId::from_parameter(users), |bencher| {
        bencher.iter(|| {
            let mut decoder = flate2::write::GzDecoder::new(std::io::sink());
            for chunk in packed.chunks(CHUNK) {
                decoder.write_all(chunk).expect("it was packed above");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode, inflate);
criterion_main!(benches);
