//! `sam-mm info`: what a checkpoint is, and what memory it needs.

use std::path::Path;

use anyhow::{Context, Result};
use sam_mm::backend::{self, Attention, Operation, Plan, Precision};
use sam_mm::memory::units::Size;
use sam_mm::model::DEMO_MODEL;
use sam_mm_checkpoint::{Architecture, Checkpoint};
use serde_json::{Value, json};

use crate::arguments::InfoOptions;
use crate::{output, session};

pub fn run(options: &InfoOptions) -> Result<()> {
    let contents = read(options.checkpoint.as_deref())?;
    let memory = plans(options);
    if options.json {
        let mut all = contents.json();
        match &memory {
            Ok(needs) => all["memory"] = needs.json(),
            Err(error) => all["memory_unknown"] = json!(format!("{error:#}")),
        }
        return output::json(&all);
    }
    contents.print()?;
    match &memory {
        Ok(needs) => needs.print(),
        Err(error) => {
            output::line("memory       not known, as no backend can be asked:")?;
            for line in format!("{error:#}").lines() {
                output::line(format_args!("             {line}"))?;
            }
            output::line("             `sam-mm doctor` says more")
        }
    }
}

/// What the file says.
struct Contents {
    name: String,
    model: String,
    tensors: usize,
    used: usize,
    unexpected: Vec<String>,
    parameters: u64,
    fingerprint: String,
}

fn read(path: Option<&Path>) -> Result<Contents> {
    let checkpoint = match path {
        Some(path) => Checkpoint::open(path)?,
        None => Checkpoint::from_bytes(DEMO_MODEL, "the built-in demo model")?,
    };
    let architecture = Architecture::detect(&checkpoint)?;
    let report = architecture.check(&checkpoint)?;
    let elements = |shape: &[usize]| shape.iter().product::<usize>() as u64;
    Ok(Contents {
        name: checkpoint.source_name().to_owned(),
        model: report.found,
        tensors: checkpoint.len(),
        used: report.used,
        parameters: checkpoint
            .tensors()
            .map(|(_, tensor)| elements(tensor.shape))
            .sum(),
        unexpected: report.unexpected,
        fingerprint: checkpoint.fingerprint().to_string(),
    })
}

impl Contents {
    fn print(&self) -> Result<()> {
        output::line(format_args!("file         {}", self.name))?;
        output::line(format_args!("model        {}", self.model))?;
        output::line(format_args!(
            "values       {:.1} million in {} tensors, {} of which the model uses",
            self.parameters as f64 / 1e6,
            self.tensors,
            self.used
        ))?;
        if !self.unexpected.is_empty() {
            let named: Vec<&str> = self.unexpected.iter().take(3).map(String::as_str).collect();
            output::line(format_args!(
                "note         {} tensors are no part of this model and not used, such as {}; if the model was changed by \
                 hand, its masks are not what its author's code gives",
                self.unexpected.len(),
                named.join(", ")
            ))?;
        }
        output::line(format_args!("fingerprint  {}", self.fingerprint))
    }

    fn json(&self) -> Value {
        json!({
            "file": self.name,
            "model": self.model,
            "values": self.parameters,
            "tensors": self.tensors,
            "tensors_used": self.used,
            "tensors_unexpected": self.unexpected,
            "fingerprint": self.fingerprint,
        })
    }
}

/// What a model needs on a device.
struct Needs {
    device: String,
    family: String,
    variant: String,
    input_size: u32,
    embedding_bytes: u64,
    plans: Vec<Need>,
}

/// Bytes that encoding takes one way.
struct Need {
    plan: Plan,
    weights: u64,
    encode: u64,
    decode: u64,
}

impl Need {
    /// Most bytes at once: the weights, and what encoding takes and leaves.
    fn peak(&self) -> u64 {
        self.weights + self.encode.max(self.decode)
    }
}

/// Asks the backend, which has to load the model for that.
fn plans(options: &InfoOptions) -> Result<Needs> {
    let context = session::context(&options.engine)?;
    let runtime = context.runtime()?;
    let busy = output::busy("loading the model");
    let checkpoint = match &options.checkpoint {
        Some(path) => backend::Checkpoint::File(path),
        None => backend::Checkpoint::Bytes(DEMO_MODEL),
    };
    let operation = Operation::detached();
    let loaded =
        runtime
            .device()
            .load_model(checkpoint, "the checkpoint", Precision::Fp32, &operation);
    busy.finish_and_clear();
    let model = loaded.context("the model cannot be loaded")?;
    let info = model.info();
    let mut plans = Vec::new();
    for precision in [Precision::Fp32, Precision::Bf16, Precision::Fp16] {
        for attention in [Attention::Full, Attention::Chunked] {
            let plan = Plan {
                attention,
                precision,
                num_objects: 1,
            };
            // What a device cannot do has no need.
            if let Ok(estimate) = model.estimate(&plan) {
                plans.push(Need {
                    plan,
                    weights: info.parameters * precision.element_size(),
                    encode: estimate.embedding_bytes + estimate.encode_workspace_bytes,
                    decode: estimate.embedding_bytes + estimate.decode_workspace_bytes,
                });
            }
        }
    }
    Ok(Needs {
        device: runtime.device_name().to_owned(),
        family: info.family.clone(),
        variant: info.variant.clone(),
        input_size: info.input_size,
        embedding_bytes: info.embedding_bytes,
        plans,
    })
}

impl Needs {
    fn print(&self) -> Result<()> {
        output::line(format_args!(
            "family       {} {}, input of {2} × {2} pixels",
            self.family, self.variant, self.input_size
        ))?;
        output::line(format_args!(
            "embedding    {} an image",
            Size(self.embedding_bytes)
        ))?;
        output::line("")?;
        output::line(format_args!(
            "memory on {:<8} {:>10} {:>12} {:>12} {:>12}",
            self.device, "weights", "encoding", "a click", "at most"
        ))?;
        for need in &self.plans {
            let way = format!("{} {}", need.plan.precision, attention(need.plan.attention));
            output::line(format_args!(
                "{way:<18} {:>10} {:>12} {:>12} {:>12}",
                Size(need.weights).to_string(),
                Size(need.encode).to_string(),
                Size(need.decode).to_string(),
                Size(need.peak()).to_string()
            ))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let plans: Vec<Value> = self
            .plans
            .iter()
            .map(|need| {
                json!({
                    "precision": need.plan.precision.to_string(),
                    "attention": attention(need.plan.attention),
                    "weight_bytes": need.weights,
                    "encode_bytes": need.encode,
                    "click_bytes": need.decode,
                    "peak_bytes": need.peak(),
                })
            })
            .collect();
        json!({
            "device": self.device,
            "family": self.family,
            "variant": self.variant,
            "input_size": self.input_size,
            "embedding_bytes": self.embedding_bytes,
            "plans": plans,
        })
    }
}

fn attention(attention: Attention) -> &'static str {
    match attention {
        Attention::Full => "full",
        Attention::Chunked => "chunked",
    }
}
