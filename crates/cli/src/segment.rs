//! `sam-mm segment`: masks of what points and boxes point at.

use std::path::PathBuf;

use anyhow::Result;
use image::{ExtendedColorType, RgbImage};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use serde_json::{Value, json};

use crate::arguments::{Form, SegmentOptions};
use crate::coco::{Annotation, Segmentation};
use crate::prompts::{self, Object};
use crate::{coco, drawing, output, picture, session};

pub fn run(options: &SegmentOptions) -> Result<()> {
    let objects = prompts::objects(&options.points, &options.boxes)?;
    let picture = picture::read(&options.image)?;
    picture::make_folder(&options.out)?;
    session::warn_of_demo(options.checkpoint.as_deref());
    let context = session::context(&options.engine)?;
    let model = session::load(&context, options.checkpoint.as_deref())?;
    let image = picture::register(&context, &picture)?;
    let busy = output::busy("looking at the picture");
    let predicted = predict(
        &model,
        &image,
        &objects.iter().map(as_prompt).collect::<Vec<_>>(),
        objects.iter().any(Object::is_ambiguous),
    );
    busy.finish_and_clear();
    let found = Found::new(predicted?)?;
    let written = found.write(options, &picture, &objects)?;
    report(options, &found, &written)
}

fn as_prompt(object: &Object) -> Prompt<'_> {
    Prompt {
        points: &object.points,
        labels: &object.labels,
        bounding_box: object.bounds,
        mask_input: None,
    }
}

/// The best mask of each object.
struct Found {
    prediction: Prediction,
    best: Vec<usize>,
}

impl Found {
    fn new(prediction: Prediction) -> Result<Self> {
        let best: Result<Vec<usize>, _> = (0..prediction.num_objects)
            .map(|object| prediction.best_mask(object))
            .collect();
        Ok(Self {
            best: best?,
            prediction,
        })
    }

    /// Writes every form asked for; returns the files.
    fn write(
        &self,
        options: &SegmentOptions,
        picture: &RgbImage,
        objects: &[Object],
    ) -> Result<Vec<PathBuf>> {
        let place = |ending: &str| picture::beside(&options.image, &options.out, ending);
        let mut written = Vec::new();
        for form in &options.write {
            match form {
                Form::Mask => {
                    for (object, &index) in self.best.iter().enumerate() {
                        let path = match self.best.len() {
                            1 => place("mask.png"),
                            _ => place(&format!("mask.{object}.png")),
                        };
                        self.write_mask(index, &path)?;
                        written.push(path);
                    }
                }
                Form::Overlay => {
                    let path = place("overlay.png");
                    self.write_overlay(picture.clone(), objects, &path)?;
                    written.push(path);
                }
                Form::Coco | Form::Polygons => {
                    let (ending, segmentation) = match form {
                        Form::Coco => ("coco.json", Segmentation::Rle),
                        _ => ("polygons.json", Segmentation::Polygons(options.tolerance)),
                    };
                    let path = place(ending);
                    let name = options.image.file_name().unwrap_or_default();
                    let annotations: Result<Vec<_>> = self
                        .best
                        .iter()
                        .map(|&index| self.annotation(index))
                        .collect();
                    let set = coco::data_set(
                        &name.to_string_lossy(),
                        picture.dimensions(),
                        &annotations?,
                        segmentation,
                    )?;
                    picture::write(&path, serde_json::to_string(&set)?.as_bytes())?;
                    written.push(path);
                }
            }
        }
        Ok(written)
    }

    fn annotation(&self, index: usize) -> Result<Annotation> {
        Ok(Annotation {
            mask: self.prediction.mask(index)?.rle(),
            score: self.prediction.score(index)?,
            stability: None,
        })
    }

    fn write_mask(&self, index: usize, path: &std::path::Path) -> Result<()> {
        let (width, height) = self.prediction.image_size;
        let mut pixels = vec![0; width as usize * height as usize];
        self.prediction
            .bitmask(index)?
            .write_to(&mut pixels, width as usize, 255)
            .map_err(sam_mm::error::Error::from)?;
        picture::write_png(path, &pixels, (width, height), ExtendedColorType::L8)
    }

    fn write_overlay(
        &self,
        mut overlay: RgbImage,
        objects: &[Object],
        path: &std::path::Path,
    ) -> Result<()> {
        for (object, &index) in self.best.iter().enumerate() {
            drawing::mask(&mut overlay, self.prediction.bitmask(index)?, object);
        }
        for object in objects {
            drawing::prompts(&mut overlay, object);
        }
        let size = overlay.dimensions();
        picture::write_png(path, overlay.as_raw(), size, ExtendedColorType::Rgb8)
    }
}

fn report(options: &SegmentOptions, found: &Found, written: &[PathBuf]) -> Result<()> {
    let mut objects: Vec<Value> = Vec::new();
    for &index in &found.best {
        let extent = found.prediction.extent(index)?;
        let score = found.prediction.score(index)?;
        objects.push(json!({
            "score": score,
            "area": extent.area,
            "box": extent.bounding_box.corners(),
        }));
        if !options.json {
            let [x0, y0, x1, y1] = extent.bounding_box.corners();
            output::line(format_args!(
                "object {}: score {score:.3}, {} pixels, box {x0},{y0},{x1},{y1}",
                objects.len(),
                extent.area
            ))?;
            if extent.area == 0 {
                output::note(
                    "note: its mask is empty; try another point, or a box around the object",
                );
            }
        }
    }
    if options.json {
        let timings = found.prediction.timings;
        return output::json(&json!({
            "objects": objects,
            "written": written,
            "encode_ms": timings.encode_ms,
            "decode_ms": timings.decode_ms,
        }));
    }
    for path in written {
        output::line(format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}
