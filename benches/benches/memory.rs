//! What is known about memory, from the snapshot while it is young, against asking the probe each time.
//!
//! The probe of `asked` reads the memory of the host: a few files, which is cheaper than what a driver does.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sam_mm::memory::host::HostMemory;
use sam_mm::memory::probe::Snapshot;

const FOR_EVER: Duration = Duration::MAX;
const PATIENCE: Duration = Duration::from_secs(10);

fn memory_info(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory_info");
    let snapshot = Snapshot::new(HostMemory::read);
    snapshot.get(FOR_EVER, PATIENCE);
    group.bench_function("snapshot", |bencher| {
        bencher.iter(|| snapshot.get(black_box(FOR_EVER), PATIENCE));
    });
    group.bench_function("asked", |bencher| bencher.iter(HostMemory::read));
    group.finish();
}

criterion_group!(benches, memory_info);
criterion_main!(benches);
