//! What is known about memory, from the snapshot while it is young, against asking the probe each time; and the answer of
//! the C API, on a pretended GPU with a pretended driver.
//!
//! The probe of `asked` reads the memory of the host: a few files, which is cheaper than what a driver does.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::ffi::CString;
use std::hint::black_box;
use std::path::Path;
use std::ptr::null_mut;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sam_mm::capi::context::{
    sam_mm_backend_describe, sam_mm_backend_info, sam_mm_context, sam_mm_destroy, sam_mm_init,
    sam_mm_options, sam_mm_options_init,
};
use sam_mm::capi::memory::{SAM_MM_SOURCE_NVML, sam_mem_info, sam_mm_memory_info};
use sam_mm::capi::memory_options::{sam_mm_memory_options, sam_mm_memory_options_init};
use sam_mm::memory::host::HostMemory;
use sam_mm::memory::probe::Snapshot;
use support::gpu_session::{pretended_driver, pretended_gpu};

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
    let (gpu, driver) = (pretended_gpu(), pretended_driver());
    let context = open(gpu.path(), driver.path());
    assert_eq!(told(context).source, SAM_MM_SOURCE_NVML);
    group.bench_function("sam_mem_info", |bencher| bencher.iter(|| told(context)));
    sam_mm_destroy(context);
    group.finish();
}

/// A context on the pretended GPU whose figures never grow old.
fn open(backend: &Path, driver: &Path) -> *mut sam_mm_context {
    let text = |path: &Path| CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    let (backend, driver) = (text(backend), text(driver));
    // SAFETY: structs of their own size, which live for the calls, with texts that do.
    unsafe {
        let mut memory: sam_mm_memory_options = std::mem::zeroed();
        sam_mm_memory_options_init(&raw mut memory, size_of_val(&memory) as u32);
        memory.nvml_library = driver.as_ptr();
        memory.max_age_ms = u32::MAX;
        memory.monitor = 0;
        let mut options: sam_mm_options = std::mem::zeroed();
        sam_mm_options_init(&raw mut options, size_of_val(&options) as u32);
        options.device = c"cuda:0".as_ptr();
        options.backend_path = backend.as_ptr();
        options.memory = &raw const memory;
        let mut context = null_mut();
        assert_eq!(
            sam_mm_init(&raw const options, &raw mut context, null_mut()),
            0
        );
        let mut info: sam_mm_backend_info = std::mem::zeroed();
        info.struct_size = size_of_val(&info) as u32;
        // Opens the backend, from when on there is a device.
        assert_eq!(
            sam_mm_backend_describe(context, &raw mut info, null_mut()),
            0
        );
        context
    }
}

fn told(context: *mut sam_mm_context) -> sam_mm_memory_info {
    // SAFETY: a struct of its own size.
    unsafe {
        let mut info: sam_mm_memory_info = std::mem::zeroed();
        info.struct_size = size_of_val(&info) as u32;
        assert_eq!(
            sam_mem_info(black_box(context), &raw mut info, null_mut()),
            0
        );
        info
    }
}

criterion_group!(benches, memory_info);
criterion_main!(benches);
