//! Kernels of our own work on all threads that libtorch was given: compiled without OpenMP they would silently run on one.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;

use sam_mm_torch::shim::tiled_linear::{Then, TiledLayer, has_tiled_linear_kernel};
use sam_mm_torch::shim::{AttentionInput, attend, has_attention_kernel, set_num_threads};
use tch::{Device, Kind, Tensor};

/// Ticks of the processor that each thread of this process has used.
fn used() -> BTreeMap<String, u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| {
            let task = task.ok()?;
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            // The name, in parentheses, may have spaces; of what follows, user and system time are the 12th and 13th.
            let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let ticks = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
            Some((task.file_name().into_string().ok()?, ticks))
        })
        .collect()
}

/// Repeats `work` until it has used a few tenths of a second, and returns how many threads took a notable part in it.
fn threads_of(work: impl Fn()) -> usize {
    let before = used();
    loop {
        work();
        let spent: Vec<_> = used()
            .into_iter()
            .map(|(thread, ticks)| ticks - before.get(&thread).copied().unwrap_or(0))
            .collect();
        let total: u64 = spent.iter().sum();
        if total >= 40 {
            return spent.iter().filter(|&&ticks| ticks * 10 >= total).count();
        }
    }
}

fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// In one test, as the number of threads is the process's.
#[test]
fn work_is_shared_among_the_threads() {
    set_num_threads(2).unwrap();
    if has_attention_kernel(None) {
        let (side, heads, dim) = (32, 2, 32);
        let queries = random(&[side, side, heads, dim]);
        let keys_values = random(&[side, side, 2, heads, dim]);
        let padding = random(&[2, heads, dim]);
        for window in [0, 8] {
            let input = AttentionInput {
                queries: &queries,
                query_row: 0,
                query_pool: 1,
                keys_values: &keys_values,
                padding: &padding,
                rel_pos: None,
                window,
            };
            let threads = threads_of(|| drop(attend(&input, None).unwrap()));
            assert_eq!(threads, 2, "attention in windows of {window}");
        }
    }
    if has_tiled_linear_kernel(None) {
        let (x, out) = (random(&[2000, 256]), random(&[2000, 256]));
        let layer = TiledLayer::pack(&random(&[256, 256]), &random(&[256]), None).unwrap();
        let layer = layer.expect("it fills whole vectors");
        let threads = threads_of(|| layer.run(None, &x, &out, Then::Gelu).unwrap());
        assert_eq!(threads, 2, "tiled linear layers");
    }
}
