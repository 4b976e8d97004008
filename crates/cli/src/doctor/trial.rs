//! The trial: the demo model looks at a drawn scene, whose truth is known.

use std::time::Instant;

use anyhow::{Result, ensure};
use sam_mm::backend::DeviceRequest;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm_scenes::{Mask, Scene};

use super::finding::{Finding, Verdict};
use crate::arguments::EngineOptions;
use crate::{output, picture, session};

const TRIAL: &str = "Trial";

/// A scene of which the demo model finds each object; what it finds of one differs little between devices.
const SEED: u64 = 12;
const SIDE: usize = 256;

/// A mask this far from the truth is not the model's fault.
const LEAST_IOU: f64 = 0.5;

/// What came of it.
pub struct Trial {
    pub findings: Vec<Finding>,
    pub works: bool,
}

pub fn run(options: &EngineOptions, has_gpu: bool) -> Trial {
    let busy = output::busy("trying the demo model");
    let tried = attempt(options);
    busy.finish_and_clear();
    match tried {
        Ok(seen) => {
            let mut findings = vec![Finding::new(
                TRIAL,
                "demo model",
                Verdict::Good,
                seen.text(),
            )];
            if has_gpu && seen.device == "cpu" && is_auto(options) {
                let text = "there is a GPU, and sam-mm runs on the CPU";
                findings.push(Finding::new(TRIAL, "device", Verdict::Warning, text).advise(
                    "the lines about backends say why; most often libtorch was built without CUDA: install one with CUDA, \
                     and name it in SAM_MM_LIBTORCH",
                ));
            }
            Trial {
                findings,
                works: true,
            }
        }
        Err(error) => {
            let finding = Finding::new(TRIAL, "demo model", Verdict::Problem, format!("{error:#}"));
            Trial {
                findings: vec![finding.advise(advice(options))],
                works: false,
            }
        }
    }
}

fn is_auto(options: &EngineOptions) -> bool {
    matches!(options.device.parse(), Ok(DeviceRequest::Auto))
}

fn advice(options: &EngineOptions) -> &'static str {
    if is_auto(options) {
        "try `sam-mm doctor --device cpu`: if that works, the GPU or its driver is at fault, else libtorch. `-vv` tells what \
         happens"
    } else {
        "try `sam-mm doctor` without --device, or with --device cpu. `-vv` tells what happens"
    }
}

/// What was seen.
struct Seen {
    device: String,
    iou: f64,
    encode_ms: f64,
    click_ms: f64,
}

impl Seen {
    fn text(&self) -> String {
        format!(
            "found a drawn object on {} (IoU {:.2} with what was drawn), encoding {:.0} ms, clicking {:.0} ms",
            self.device, self.iou, self.encode_ms, self.click_ms
        )
    }
}

fn attempt(options: &EngineOptions) -> Result<Seen> {
    let scene = Scene::draw_sized(SEED, SIDE, SIDE);
    let context = session::context(options)?;
    let model = session::load(&context, None)?;
    let pixels = image::RgbImage::from_raw(SIDE as u32, SIDE as u32, scene.image.pixels.clone());
    let image = picture::register(&context, &pixels.unwrap_or_default())?;
    let mut best = 0.0_f64;
    let start = Instant::now();
    let mut encode_ms = 0.0;
    let prompts = scene.prompts(SEED, 3);
    for prompt in &prompts {
        let found = predict(
            &model,
            &image,
            &[Prompt {
                bounding_box: Some(prompt.bounds),
                ..Prompt::default()
            }],
            false,
        )?;
        encode_ms += found.timings.encode_ms.unwrap_or_default();
        let mask = found.bitmask(found.best_mask(0)?)?;
        best = best.max(iou(mask.pixels(), &scene.masks[prompt.object]));
    }
    let click_ms = (start.elapsed().as_secs_f64() * 1e3 - encode_ms) / prompts.len() as f64;
    ensure!(
        best >= LEAST_IOU,
        "the masks on {} are wrong: none of three drawn objects was found (IoU {best:.2} at most). The device or its \
         libraries compute something else than they should",
        model.device_name()
    );
    Ok(Seen {
        device: model.device_name().to_owned(),
        iou: best,
        encode_ms,
        click_ms,
    })
}

/// Intersection over union of what was found and what was drawn.
fn iou(found: &[u8], drawn: &Mask) -> f64 {
    let (mut both, mut either) = (0_u32, 0_u32);
    for (&found, &drawn) in found.iter().zip(&drawn.pixels) {
        both += u32::from(found != 0 && drawn);
        either += u32::from(found != 0 || drawn);
    }
    f64::from(both) / f64::from(either.max(1))
}
