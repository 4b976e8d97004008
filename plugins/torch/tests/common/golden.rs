//! Reads goldens: what the official code made of weights, images and prompts that follow from a formula.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::tensor::{Dtype, TensorView};
use sam_mm_backend_abi::sdk::ObjectPrompt;
use sam_mm_checkpoint::Checkpoint;

use super::formula;

/// A golden file.
pub struct Golden(Checkpoint<'static>);

impl Golden {
    /// `tests/golden/{name}.safetensors`.
    pub fn open(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let path = folder.join(format!("{name}.safetensors"));
        Self(Checkpoint::open(path).expect("the golden is part of the repository"))
    }

    /// A checkpoint with the weights the golden was made with, in `.safetensors` format.
    pub fn checkpoint_bytes(&self) -> Vec<u8> {
        let shapes: BTreeMap<String, Vec<usize>> =
            serde_json::from_str(&self.0.metadata()["weights"]).unwrap();
        let scale = self.weights_scale();
        let data = shapes.into_iter().map(|(name, shape)| {
            if name.ends_with("num_batches_tracked") {
                (name, Dtype::I64, shape, 0i64.to_le_bytes().to_vec())
            } else {
                let bytes = formula::tensor(&name, &shape)
                    .iter()
                    .flat_map(|value| (scale * value).to_le_bytes())
                    .collect();
                (name, Dtype::F32, shape, bytes)
            }
        });
        let data: Vec<_> = data.collect();
        let views = data.iter().map(|(name, dtype, shape, bytes)| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let metadata = self.0.metadata().get("checkpoint_metadata");
        let metadata = metadata.map(|text| serde_json::from_str(text).unwrap());
        safetensors::serialize(views, metadata).unwrap()
    }

    /// The weights as an opened checkpoint.
    pub fn checkpoint(&self) -> Checkpoint<'static> {
        Checkpoint::from_bytes(self.checkpoint_bytes(), "formula").unwrap()
    }

    /// The tensor of that name.
    pub fn values(&self, name: &str) -> Vec<f32> {
        self.value(name)
            .unwrap_or_else(|| panic!("no {name} in the golden"))
    }

    /// The tensor of that name, if there is one.
    pub fn value(&self, name: &str) -> Option<Vec<f32>> {
        Some(self.0.tensor(name)?.to_f32())
    }

    /// What the weights are times.
    pub fn weights_scale(&self) -> f32 {
        let scale = self.0.metadata().get("weights_scale");
        scale.map_or(1.0, |scale| scale.parse().unwrap())
    }

    /// The prompts whose results the golden holds, those whose names start with `prefix`.
    pub fn prompts(&self, prefix: &str) -> Vec<GoldenPrompt> {
        let names = self.0.names().filter_map(|name| {
            let (prompt, part) = name.strip_prefix(prefix)?.rsplit_once('.')?;
            (part == "logits" || part == "sparse").then(|| prompt.to_owned())
        });
        names.map(|name| self.prompt(prefix, name)).collect()
    }

    fn prompt(&self, prefix: &str, name: String) -> GoldenPrompt {
        let part = |part: &str| {
            let view = self.0.tensor(&format!("{prefix}{name}.{part}"))?;
            Some(view.to_f32())
        };
        GoldenPrompt {
            points: part("points").unwrap_or_default().as_chunks().0.to_vec(),
            labels: part("labels")
                .unwrap_or_default()
                .iter()
                .map(|&label| label as i32)
                .collect(),
            bbox: part("box").map(|corners| corners.try_into().unwrap()),
            has_mask: part("has_mask").is_some(),
            name,
        }
    }
}

/// A prompt of a golden, in pixels of the original image.
pub struct GoldenPrompt {
    pub name: String,
    pub points: Vec<[f32; 2]>,
    pub labels: Vec<i32>,
    pub bbox: Option<[f32; 4]>,
    pub has_mask: bool,
}

impl GoldenPrompt {
    /// The prompt as a backend gets it; `mask` is its mask input if it has one.
    pub fn object<'a>(&'a self, mask: &'a [f32]) -> ObjectPrompt<'a> {
        ObjectPrompt {
            points: &self.points,
            labels: &self.labels,
            bbox: self.bbox,
            mask: self.has_mask.then_some(mask),
        }
    }
}

/// The largest difference between two slices of one length.
pub fn max_difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most, difference| {
        if difference.is_nan() {
            f32::INFINITY
        } else {
            most.max(difference)
        }
    })
}
