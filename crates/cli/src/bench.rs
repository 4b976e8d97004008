//! `sam-mm bench`: how long encoding and clicking take here.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use image::RgbImage;
use sam_mm::context::Context;
use sam_mm::model::Model;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use sam_mm_scenes::Scene;
use serde_json::{Value, json};

use crate::arguments::BenchOptions;
use crate::{output, picture, session};

pub fn run(options: &BenchOptions) -> Result<()> {
    let picture = match &options.image {
        Some(path) => picture::read(path)?,
        None => drawn(1024, 768)?,
    };
    let context = session::context(&options.engine)?;
    let start = Instant::now();
    let model = session::load(&context, options.checkpoint.as_deref())?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let busy = output::busy("timing");
    let measured = measure(&context, &model, &picture, options.rounds);
    busy.finish_and_clear();
    let measured = measured?;
    if options.json {
        return output::json(&measured.json(&context, &model, &picture, load_ms));
    }
    measured.print(
        &context,
        &model,
        &picture,
        load_ms,
        options.checkpoint.as_deref(),
    )
}

/// A scene that is the same everywhere.
pub fn drawn(width: usize, height: usize) -> Result<RgbImage> {
    let scene = Scene::draw_sized(12, width, height);
    RgbImage::from_raw(width as u32, height as u32, scene.image.pixels)
        .context("a scene has the size that was asked for")
}

/// Milliseconds of each round.
struct Measured {
    encode: Vec<f64>,
    first_click: Vec<f64>,
    click: Vec<f64>,
}

fn measure(
    context: &Arc<Context>,
    model: &Model,
    picture: &RgbImage,
    rounds: u32,
) -> Result<Measured> {
    let mut measured = Measured {
        encode: Vec::new(),
        first_click: Vec::new(),
        click: Vec::new(),
    };
    // One round more: in the first one kernels are chosen and memory is had.
    for round in 0..=rounds {
        let image = picture::register(context, picture)?.with_content_id(&round.to_le_bytes());
        let first = click(model, &image, round, 0)?;
        let second = click(model, &image, round, 1)?;
        if round > 0 {
            measured.encode.push(first.0.unwrap_or(f64::NAN));
            measured.first_click.push(first.1);
            measured.click.push(second.1);
        }
    }
    Ok(measured)
}

/// Clicks; returns the milliseconds that encoding took, if there was any, and those of the whole call.
fn click(
    model: &Model,
    image: &RegisteredImage,
    round: u32,
    turn: u32,
) -> Result<(Option<f64>, f64)> {
    let (width, height) = image.size();
    // Never the same click: that would be found in the cache.
    let share = f64::from(2 * round + turn + 1) / 4096.0;
    let point = [
        (f64::from(width) * (0.25 + share)) as f32,
        (f64::from(height) * 0.5) as f32,
    ];
    let prompt = Prompt {
        points: &[point],
        labels: &[1],
        ..Prompt::default()
    };
    let start = Instant::now();
    let prediction = predict(model, image, &[prompt], true)?;
    let best = prediction.best_mask(0)?;
    prediction.bitmask(best)?;
    Ok((
        prediction.timings.encode_ms,
        start.elapsed().as_secs_f64() * 1e3,
    ))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

fn fastest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

impl Measured {
    fn rows(&self) -> [(&'static str, &'static str, &[f64]); 3] {
        [
            ("encode_ms", "encoding", &self.encode),
            (
                "first_click_ms",
                "first click, with encoding",
                &self.first_click,
            ),
            ("click_ms", "every further click", &self.click),
        ]
    }

    fn print(
        &self,
        context: &Arc<Context>,
        model: &Model,
        picture: &RgbImage,
        load_ms: f64,
        checkpoint: Option<&Path>,
    ) -> Result<()> {
        let (info, runtime) = (model.info(), context.runtime()?);
        let name = checkpoint.map_or("demo model".to_owned(), |path| path.display().to_string());
        output::line(format_args!(
            "{name} ({} {}) on {} with {} {}",
            info.family,
            info.variant,
            runtime.device_name(),
            runtime.backend_name(),
            runtime.backend_version()
        ))?;
        output::line(format_args!(
            "{} × {} pixels, {} rounds, a full-size mask each; loading took {load_ms:.0} ms",
            picture.width(),
            picture.height(),
            self.encode.len()
        ))?;
        output::line(format_args!(
            "{:<28} {:>12} {:>12}",
            "", "median", "fastest"
        ))?;
        for (_, name, values) in self.rows() {
            output::line(format_args!(
                "{name:<28} {:>9.1} ms {:>9.1} ms",
                median(values),
                fastest(values)
            ))?;
        }
        output::line(format_args!(
            "memory: {}",
            context.memory_info().formatted()
        ))
    }

    fn json(
        &self,
        context: &Arc<Context>,
        model: &Model,
        picture: &RgbImage,
        load_ms: f64,
    ) -> Value {
        let info = model.info();
        let mut all = json!({
            "family": info.family,
            "variant": info.variant,
            "device": model.device_name(),
            "width": picture.width(),
            "height": picture.height(),
            "rounds": self.encode.len(),
            "load_ms": load_ms,
            "memory": context.memory_info().formatted(),
        });
        for (key, _, values) in self.rows() {
            all[key] = json!({"median": median(values), "fastest": fastest(values), "all": values});
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(fastest(&[3.0, 1.0, 2.0]), 1.0);
    }
}
