//! A GB after the other under each fraction of a GPU, until the status is critical; then memory is given back.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::memory::config::MemoryOptions;
use sam_mm::memory::probe::ProbeOptions;
use sam_mm::model::{Model, Source};
use sam_mm::predictor::encode;

use crate::neighbour::Neighbour;
use crate::support::fake_backend::FakeBackend;
use crate::support::gpu_session::{image, memory, probes};

const GIB: u64 = 1 << 30;
const ALLOCATIONS: u8 = 5;
/// The pretended GPU.
const TOTAL: u64 = 5 * GIB;

/// Runs the ladder for each fraction; on a real GPU where the plugin finds one, else on a pretended one.
pub fn run(fractions: &[f64], plugin: Option<&Path>) -> Result<bool> {
    for &fraction in fractions {
        match plugin.map(|plugin| open_real(plugin, fraction)) {
            Some(Ok(context)) => on_real(&context, fraction)?,
            Some(Err(reason)) => {
                println!("No GPU ({reason}); one is pretended");
                on_pretended(fraction)?;
            }
            None => on_pretended(fraction)?,
        }
    }
    Ok(true)
}

/// Critical is what leaves next to nothing of the budget.
fn settings(fraction: f64) -> MemoryOptions {
    MemoryOptions {
        fraction: Some(fraction),
        warning_threshold: Some(0.8 * fraction),
        critical_threshold: Some(0.95 * fraction),
        ..memory()
    }
}

/// Embeddings of a GB each.
fn on_pretended(fraction: f64) -> Result<()> {
    println!("Memory fraction {fraction}, on a pretended GPU");
    let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    fake.control(&format!("memory total={TOTAL} other=0"));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("model.fake");
    let workspace = 2 * GIB / 5;
    fs::write(
        &file,
        format!(
            "fake-model\ninput_size=16\nmask_size=4\nembedding_bytes={GIB}\nencode_workspace={workspace}\n"
        ),
    )?;
    let options = Options {
        device: DeviceRequest::Named(DeviceName::Cuda(0)),
        backend_path: Some(fake.path().to_owned()),
        probes: probes(None, None),
        embedding_cache_bytes: TOTAL,
        memory: settings(fraction),
        ..Options::default()
    };
    let context = Arc::new(Context::new(options, None)?);
    let model = Model::load(&context, Source::File(file), Precision::Fp32)?;
    let before = fake.value("memory.reserved");
    let mut images = Vec::new();
    ladder(&context, |number| {
        let next = image(&context, number);
        encode(&model, &next).map(drop)?;
        images.push(next);
        Ok(())
    })?;
    let (peak, limit) = (fake.value("memory.peak_reserved"), TOTAL as f64 * fraction);
    ensure!(
        peak as f64 <= limit,
        "{peak} bytes were held, above the limit of {limit}"
    );
    ensure!(images.len() > 1, "only {} allocations fitted", images.len());
    let after = fake.value("memory.reserved");
    ensure!(
        after == before,
        "{after} bytes are held after optimization; it began with {before}"
    );
    Ok(())
}

fn open_real(plugin: &Path, fraction: f64) -> Result<Arc<Context>> {
    let options = Options {
        device: DeviceRequest::Named(DeviceName::Cuda(0)),
        backend_path: Some(plugin.to_owned()),
        probes: ProbeOptions::default(),
        memory: settings(fraction),
        ..Options::default()
    };
    let context = Arc::new(Context::new(options, None)?);
    context.runtime()?;
    Ok(context)
}

/// A GB at a time that another process takes, and an encoding of ours in what it leaves.
fn on_real(context: &Arc<Context>, fraction: f64) -> Result<()> {
    println!(
        "Memory fraction {fraction}, on {}",
        context.runtime()?.device_name()
    );
    let model = Model::load(context, Source::Demo, Precision::Fp32)?;
    let mut neighbours = Vec::new();
    let mut held = Vec::new();
    ladder(context, |number| {
        neighbours.push(Neighbour::holding(GIB)?);
        let next = image(context, number);
        encode(&model, &next).map(drop)?;
        held.push(next);
        let info = context.memory_info();
        let (Some(device), Some(allocator)) = (info.device, info.allocator) else {
            anyhow::bail!("there are no figures: {info:?}");
        };
        let limit = device.total as f64 * fraction;
        let within = allocator.reserved as f64 <= limit;
        ensure!(
            within,
            "{} bytes are held, above the limit of {limit}",
            allocator.reserved
        );
        Ok(())
    })?;
    let embeddings = context.memory_info().embedding_cache;
    ensure!(
        embeddings == 0,
        "{embeddings} bytes of embeddings are left after optimization"
    );
    Ok(())
}

fn ladder(context: &Arc<Context>, mut allocate: impl FnMut(u8) -> Result<()>) -> Result<()> {
    println!("Initial GPU memory state: {}", formatted(context));
    for number in 1..=ALLOCATIONS {
        allocate(number)?;
        println!("After allocation {number}: {}", formatted(context));
        let status = context.memory().status();
        if let Some(message) = status.message() {
            println!("{message}");
        }
        if status.is_critical() {
            println!("Hit critical memory threshold!");
            break;
        }
    }
    println!("Attempting memory optimization...");
    context.optimize(true);
    println!("After optimization: {}\n", formatted(context));
    Ok(())
}

/// Of figures that were read after this call.
fn formatted(context: &Context) -> String {
    loop {
        let info = context.memory_info();
        if !info.stale {
            return info.formatted();
        }
    }
}
