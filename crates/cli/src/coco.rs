//! Masks as COCO's JSON for object detection.

use anyhow::Result;
use sam_mm::mask::{Connectivity, Extent, PolygonOptions, Polygons, Rle};
use serde_json::{Value, json};

/// One found object.
pub struct Annotation {
    pub mask: Rle,
    pub score: f32,
    /// Only where everything was looked for.
    pub stability: Option<f32>,
}

/// How segmentations are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Segmentation {
    /// Compressed run-length encoding; `iscrowd` stays 0, as in the results of detectors.
    Rle,
    /// Outlines without holes, which is all that COCO's polygons can say. Points may be this far off, in pixels.
    Polygons(f64),
}

/// A data set of one picture.
pub fn data_set(
    file_name: &str,
    (width, height): (u32, u32),
    annotations: &[Annotation],
    form: Segmentation,
) -> Result<Value> {
    let annotations: Result<Vec<Value>> = annotations
        .iter()
        .enumerate()
        .map(|(index, annotation)| entry(index, annotation, form))
        .collect();
    Ok(json!({
        "info": {"description": "made by sam-mm", "version": env!("CARGO_PKG_VERSION")},
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations?,
    }))
}

fn entry(index: usize, annotation: &Annotation, form: Segmentation) -> Result<Value> {
    let extent = Extent::of(&annotation.mask);
    let bounds = extent.bounding_box;
    let mut entry = json!({
        "id": index + 1,
        "image_id": 1,
        "category_id": 1,
        "area": extent.area,
        "bbox": [bounds.x, bounds.y, bounds.width, bounds.height],
        "iscrowd": 0,
        "score": annotation.score,
        "segmentation": segmentation(&annotation.mask, form)?,
    });
    if let Some(stability) = annotation.stability {
        entry["stability_score"] = json!(stability);
    }
    Ok(entry)
}

fn segmentation(mask: &Rle, form: Segmentation) -> Result<Value> {
    match form {
        Segmentation::Rle => {
            let size = [mask.height(), mask.width()];
            Ok(json!({"size": size, "counts": mask.to_compressed()}))
        }
        Segmentation::Polygons(tolerance) => {
            let options = PolygonOptions {
                connectivity: Connectivity::Eight,
                tolerance,
                min_area: 0,
            };
            Ok(outlines(&Polygons::trace(mask, &options)?))
        }
    }
}

/// The outer rings, each as x, y, x, y, …
fn outlines(polygons: &Polygons) -> Value {
    let rings = polygons.rings().iter().enumerate();
    let outer = rings.filter(|(_, ring)| !ring.is_hole);
    let flat = outer.map(|(index, _)| polygons.ring_vertices(index).concat());
    Value::from(flat.collect::<Vec<Vec<u32>>>())
}
