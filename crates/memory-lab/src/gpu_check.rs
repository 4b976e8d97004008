//! What only a real GPU can answer: whether figures agree with NVIDIA's own tool, whether limits hold, whether what runs
//! out comes back.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::memory::config::MemoryOptions;
use sam_mm::memory::recovery::Rung;
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;

use crate::neighbour::Neighbour;
use crate::support::gpu_session::{answer, click, encoded, image, memory};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Exit status for a machine without a GPU: neither passed nor failed.
const NOT_RUN: u8 = 3;
/// Figures taken one after the other may differ by so much, with nobody else at work.
const TOLERANCE: u64 = 64 * MIB;

/// The card, and what runs on it.
struct Card {
    plugin: PathBuf,
    checkpoint: Option<PathBuf>,
    total: u64,
}

type Check = (&'static str, fn(&Card) -> Result<String>);

const CHECKS: [Check; 7] = [
    ("NVML tells what nvidia-smi tells", as_nvidia_smi),
    ("the backend tells what NVML tells", as_backend),
    ("a strict fraction is held", fraction_is_held),
    ("an encode under 4 GB and under 2 GB", under_budgets),
    (
        "a neighbour that fills the card costs no result",
        neighbour_fills_the_card,
    ),
    (
        "what runs out of memory is recovered by each rung",
        every_rung,
    ),
    ("500 encodes leave nothing behind", nothing_leaks),
];

/// Runs the checks, and prints what came of each.
pub fn run(plugin: &Path, checkpoint: Option<&Path>) -> ExitCode {
    let mut card = Card {
        plugin: plugin.to_owned(),
        checkpoint: checkpoint.map(Path::to_owned),
        total: 0,
    };
    match card.total() {
        Ok(total) => card.total = total,
        Err(reason) => {
            println!("gpu-check was NOT RUN, and says nothing: {reason:#}");
            return ExitCode::from(NOT_RUN);
        }
    }
    let mut failed = 0;
    for (name, check) in CHECKS {
        match check(&card) {
            Ok(told) => println!("ok   {name}: {told}"),
            Err(error) => {
                failed += 1;
                println!("NOT  {name}: {error:#}");
            }
        }
    }
    println!("\n{} checks, {failed} failed", CHECKS.len());
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Card {
    fn total(&self) -> Result<u64> {
        let context = self.context(MemoryOptions::default())?;
        let info = context.memory_info();
        Ok(info
            .device
            .context("nothing tells the memory of the GPU")?
            .total)
    }

    fn context(&self, memory: MemoryOptions) -> Result<Arc<Context>> {
        let options = Options {
            device: DeviceRequest::Named(DeviceName::Cuda(0)),
            backend_path: Some(self.plugin.clone()),
            memory,
            ..Options::default()
        };
        let context = Arc::new(Context::new(options, None)?);
        context.runtime()?;
        Ok(context)
    }

    fn model(&self, context: &Arc<Context>) -> Result<Model> {
        let source = self.checkpoint.clone().map_or(Source::Demo, Source::File);
        Ok(Model::load(context, source, Precision::Fp32)?)
    }

    /// Limits the allocator of the process, behind the back of every other context.
    fn squeeze(&self, bytes: u64) -> Result<()> {
        let strict = MemoryOptions {
            fraction: Some((bytes as f64 / self.total as f64).min(1.0)),
            growth: Some(false),
            ..memory()
        };
        self.context(strict).map(drop)
    }

    /// Ends the limit.
    fn relax(&self) -> Result<()> {
        self.context(memory()).map(drop)
    }
}

fn as_nvidia_smi(card: &Card) -> Result<String> {
    let context = card.context(memory())?;
    let info = fresh(&context);
    let (device, uuid) = (
        info.device.context("no figures")?,
        info.device_uuid.as_deref().context("no UUID: not NVML")?,
    );
    let output = Command::new("nvidia-smi")
        .args([
            "--query-gpu=memory.total,memory.used",
            "--format=csv,noheader,nounits",
            "-i",
            uuid,
        ])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = text
        .split(',')
        .map(|number| number.trim().parse::<u64>().map(|mib| mib * MIB))
        .collect::<Result<_, _>>()
        .with_context(|| format!("nvidia-smi said {text:?}"))?;
    let [total, used] = numbers[..] else {
        bail!("nvidia-smi said {text:?}");
    };
    ensure!(
        device.total.abs_diff(total) <= TOLERANCE,
        "total {} and {total}",
        device.total
    );
    ensure!(
        device.used.abs_diff(used) <= TOLERANCE,
        "used {} and {used}",
        device.used
    );
    Ok(format!("{}, from {}", info.formatted(), info.source))
}

fn as_backend(card: &Card) -> Result<String> {
    let context = card.context(memory())?;
    let _model = card.model(&context)?;
    let seen = context.runtime()?.device().mem_info()?;
    let seen = seen
        .device
        .context("the backend tells no figures of the device")?;
    let info = fresh(&context);
    let device = info.device.context("no figures")?;
    ensure!(
        device.free.abs_diff(seen.free) <= TOLERANCE,
        "free {} and {}",
        device.free,
        seen.free
    );
    let reserved = info
        .allocator
        .context("no figures of the allocator")?
        .reserved;
    let process = device.process.context("no figures of this process")?;
    ensure!(
        process >= reserved,
        "this process holds {process}, its allocator {reserved}"
    );
    Ok(format!(
        "{} MB free, {} MB ours",
        device.free / MIB,
        process / MIB
    ))
}

fn fraction_is_held(card: &Card) -> Result<String> {
    let limit = 2 * GIB;
    let context = card.context(MemoryOptions {
        fraction: Some(limit as f64 / card.total as f64),
        growth: Some(false),
        ..memory()
    })?;
    let model = card.model(&context)?;
    let mut most = 0;
    for gray in 0..20 {
        click(&model, &image(&context, gray))?;
        most = most.max(reserved(&context)?);
        ensure!(most <= limit, "{most} bytes are reserved, above {limit}");
    }
    card.relax()?;
    Ok(format!("{} MB reserved at most", most / MIB))
}

fn under_budgets(card: &Card) -> Result<String> {
    let mut told = Vec::new();
    for gigabytes in [4, 2] {
        let others = card.total - free(card)?;
        let budget = gigabytes * GIB;
        let context = card.context(MemoryOptions {
            fraction: Some(((budget + others) as f64 / card.total as f64).min(1.0)),
            ..memory()
        })?;
        let model = card.model(&context)?;
        let prediction = click(&model, &image(&context, 100))?;
        let reserved = reserved(&context)?;
        ensure!(
            reserved <= budget,
            "{reserved} bytes are reserved under {gigabytes} GB"
        );
        told.push(format!("{gigabytes} GB: {}", encoded(&prediction)));
    }
    Ok(told.join("; "))
}

fn neighbour_fills_the_card(card: &Card) -> Result<String> {
    let context = card.context(memory())?;
    let model = card.model(&context)?;
    let wanted = click(&model, &image(&context, 100))?;
    context.optimize(true);
    let left = 300 * MIB;
    let neighbour = Neighbour::holding(free(card)?.saturating_sub(left))?;
    let squeezed = click(&model, &image(&context, 100))?;
    drop(neighbour);
    close(&wanted, &squeezed)?;
    Ok(encoded(&squeezed))
}

/// The allocator is limited below what the plan counts on: a real out-of-memory, at a limit that falls from run to run.
fn every_rung(card: &Card) -> Result<String> {
    let context = card.context(memory())?;
    let model = card.model(&context)?;
    let kept: Vec<_> = (0..8).map(|gray| image(&context, gray)).collect();
    let wanted = click(&model, &image(&context, 100))?;
    let full = reserved(&context)?;
    let mut seen = Vec::new();
    for step in 0..48 {
        card.relax()?;
        for image in &kept {
            click(&model, image)?;
        }
        card.squeeze(full - full / 48 * step)?;
        let squeezed = click(&model, &image(&context, 100))?;
        close(&wanted, &squeezed)?;
        seen.extend(squeezed.encode_ran.and_then(|ran| ran.recovered_by));
    }
    card.relax()?;
    let missing: Vec<String> = Rung::ALL
        .iter()
        .filter(|rung| !seen.contains(rung))
        .map(ToString::to_string)
        .collect();
    ensure!(
        missing.is_empty(),
        "recovered {} times, but never by: {}",
        seen.len(),
        missing.join(", ")
    );
    Ok(format!("{} recoveries", seen.len()))
}

fn nothing_leaks(card: &Card) -> Result<String> {
    let context = card.context(memory())?;
    let model = card.model(&context)?;
    let after = |encodes: u32| -> Result<u64> {
        for number in 0..encodes {
            click(&model, &image(&context, number as u8))?;
        }
        context.optimize(true);
        let allocator = fresh(&context)
            .allocator
            .context("no figures of the allocator")?;
        Ok(allocator.allocated)
    };
    let (first, last) = (after(10)?, after(500)?);
    ensure!(
        last <= first + MIB,
        "{first} bytes after 10 encodes, {last} after 500 more"
    );
    Ok(format!("{} MB before and after", last / MIB))
}

/// Half precision is not the same to the last bit: the masks must agree, not the logits.
fn close(a: &Prediction, b: &Prediction) -> Result<()> {
    let (a, b) = (answer(a), answer(b));
    let agree = a
        .iter()
        .zip(&b)
        .filter(|(a, b)| (**a > 0.0) == (**b > 0.0))
        .count();
    let share = agree as f64 / a.len() as f64;
    ensure!(share > 0.98, "{:.1} % of the cells agree", share * 100.0);
    Ok(())
}

fn fresh(context: &Context) -> sam_mm::memory::info::MemoryInfo {
    loop {
        let info = context.memory_info();
        if !info.stale {
            return info;
        }
    }
}

fn reserved(context: &Context) -> Result<u64> {
    Ok(fresh(context)
        .allocator
        .context("no figures of the allocator")?
        .reserved)
}

fn free(card: &Card) -> Result<u64> {
    let context = card.context(memory())?;
    Ok(fresh(&context).device.context("no figures")?.free)
}
