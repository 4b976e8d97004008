//! `sam-mm everything`: all masks in a picture.

use std::io::{IsTerminal, stderr};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Result;
use image::ExtendedColorType;
use indicatif::{ProgressBar, ProgressStyle};
use sam_mm::everything::{self, Everything, FoundMask};
use serde_json::{Value, json};

use crate::arguments::{EverythingOptions, Form};
use crate::coco::{Annotation, Segmentation};
use crate::{coco, drawing, output, picture, session};

pub fn run(options: &EverythingOptions) -> Result<()> {
    let picture = picture::read(&options.image)?;
    picture::make_folder(&options.out)?;
    session::warn_of_demo(options.checkpoint.as_deref());
    let context = session::context(&options.engine)?;
    let model = session::load(&context, options.checkpoint.as_deref())?;
    let image = picture::register(&context, &picture)?;
    let settings = everything::Options {
        points_per_side: options.points_per_side,
        pred_iou_thresh: options.min_iou,
        stability_score_thresh: options.min_stability,
        crop_n_layers: options.crop_layers,
        min_mask_region_area: options.min_area,
        ..everything::Options::default()
    };
    let bar = bar();
    let found = everything::segment_everything(&model, &image, &settings, &mut |step| {
        bar.set_length(step.points_total);
        bar.set_position(step.points_done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    let found = found?;
    let written = write(options, &picture, &found)?;
    report(options, &found, &written)
}

fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} points ({eta} left)") {
        bar.set_style(style);
    }
    bar
}

fn write(
    options: &EverythingOptions,
    picture: &image::RgbImage,
    found: &Everything,
) -> Result<Vec<PathBuf>> {
    let place = |ending: &str| picture::beside(&options.image, &options.out, ending);
    let size = picture.dimensions();
    let mut written = Vec::new();
    for form in &options.write {
        match form {
            Form::Mask => {
                for (index, mask) in found.masks.iter().enumerate() {
                    let path = place(&format!("mask.{index}.png"));
                    let bitmask = mask.rle()?.decode()?;
                    let gray: Vec<u8> = bitmask.pixels().iter().map(|&pixel| 255 * pixel).collect();
                    picture::write_png(&path, &gray, size, ExtendedColorType::L8)?;
                    written.push(path);
                }
            }
            Form::Overlay => {
                let path = place("everything.png");
                let mut overlay = picture.clone();
                // The largest first, so that parts lie on the whole.
                let mut masks: Vec<&FoundMask> = found.masks.iter().collect();
                masks.sort_by_key(|mask| std::cmp::Reverse(mask.area));
                for (index, mask) in masks.into_iter().enumerate() {
                    drawing::mask(&mut overlay, &mask.rle()?.decode()?, index);
                }
                picture::write_png(&path, overlay.as_raw(), size, ExtendedColorType::Rgb8)?;
                written.push(path);
            }
            Form::Coco | Form::Polygons => {
                let (ending, segmentation) = match form {
                    Form::Coco => ("coco.json", Segmentation::Rle),
                    _ => ("polygons.json", Segmentation::Polygons(options.tolerance)),
                };
                let path = place(ending);
                let annotations: Result<Vec<Annotation>> =
                    found.masks.iter().map(annotation).collect();
                let name = options.image.file_name().unwrap_or_default();
                let set =
                    coco::data_set(&name.to_string_lossy(), size, &annotations?, segmentation)?;
                picture::write(&path, serde_json::to_string(&set)?.as_bytes())?;
                written.push(path);
            }
        }
    }
    Ok(written)
}

fn annotation(mask: &FoundMask) -> Result<Annotation> {
    Ok(Annotation {
        mask: mask.rle()?,
        score: mask.predicted_iou,
        stability: Some(mask.stability_score),
    })
}

fn report(options: &EverythingOptions, found: &Everything, written: &[PathBuf]) -> Result<()> {
    if options.json {
        let masks: Vec<Value> = found
            .masks
            .iter()
            .map(|mask| {
                json!({
                    "area": mask.area,
                    "box": mask.bounding_box.corners(),
                    "score": mask.predicted_iou,
                    "stability_score": mask.stability_score,
                    "point": mask.point,
                })
            })
            .collect();
        return output::json(&json!({
            "masks": masks,
            "points": found.effort.points,
            "crops": found.effort.crops,
            "written": written,
        }));
    }
    output::line(format_args!(
        "{} masks from {} points",
        found.masks.len(),
        found.effort.points
    ))?;
    if found.masks.is_empty() {
        output::note(
            "note: no mask was good enough; lower --min-iou or --min-stability, or name a checkpoint that knows such \
             pictures",
        );
    }
    for path in written {
        output::line(format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}
