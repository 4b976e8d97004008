//! Checkpoints of whole models without weights: a safetensors header, and a sparse file behind it.

use std::collections::BTreeMap;
use std::io::Write;

use sam_mm_checkpoint::{Architecture, CheckReport, Checkpoint, CheckpointError};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use super::data;

/// Names and shapes of the tensors of a model, and its metadata.
#[derive(Clone, Default)]
pub struct Model {
    pub tensors: BTreeMap<String, Vec<usize>>,
    pub metadata: BTreeMap<String, String>,
    /// Tensors whose elements are of another type than `F32`.
    pub dtypes: BTreeMap<String, &'static str>,
}

/// A line of an official list.
pub struct Line {
    pub name: String,
    pub shape: Vec<usize>,
    pub is_parameter: bool,
    /// Trained, and not used to make masks.
    pub is_unused: bool,
}

/// The names and shapes that the official code of a model gives.
pub fn official_lines(model: &str) -> Vec<Line> {
    let text = std::fs::read_to_string(data(&format!("official/{model}.txt"))).unwrap();
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (name, shape) = (words.next().unwrap(), words.next().unwrap());
        let marks: Vec<_> = words.collect();
        Line {
            name: name.to_owned(),
            shape: match shape {
                "scalar" => Vec::new(),
                shape => shape.split('x').map(|size| size.parse().unwrap()).collect(),
            },
            is_parameter: !marks.contains(&"buffer"),
            is_unused: marks.contains(&"#"),
        }
    };
    text.lines().map(line).collect()
}

impl Model {
    /// A model of those tensors.
    pub fn of<'n>(tensors: impl IntoIterator<Item = (&'n str, Vec<usize>)>) -> Self {
        Self {
            tensors: tensors
                .into_iter()
                .map(|(name, shape)| (name.to_owned(), shape))
                .collect(),
            ..Self::default()
        }
    }

    /// An official model.
    pub fn official(model: &str) -> Self {
        let lines = official_lines(model);
        Self::of(
            lines
                .iter()
                .map(|line| (line.name.as_str(), line.shape.clone())),
        )
    }

    /// The model with one value in its metadata.
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The model with another shape for all tensors whose name contains a text.
    pub fn reshaped(mut self, part: &str, shape: &[usize]) -> Self {
        let tensors = self
            .tensors
            .iter_mut()
            .filter(|(name, _)| name.contains(part));
        assert!(
            tensors.map(|(_, old)| *old = shape.to_vec()).count() > 0,
            "{part}"
        );
        self
    }

    /// The model without the tensors whose name contains a text.
    pub fn without(mut self, part: &str) -> Self {
        let count = self.tensors.len();
        self.tensors.retain(|name, _| !name.contains(part));
        assert!(self.tensors.len() < count, "{part}");
        self
    }

    /// The model under other names.
    pub fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        self.tensors = self
            .tensors
            .into_iter()
            .map(|(name, shape)| (rename(&name), shape))
            .collect();
        self
    }

    /// Writes it as a safetensors file whose tensors hold zeros. The file has its full length and takes up hardly any
    /// space.
    pub fn write(&self) -> NamedTempFile {
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!(self.metadata));
        let mut end = 0;
        for (name, shape) in &self.tensors {
            let dtype = self.dtypes.get(name).copied().unwrap_or("F32");
            let size = if dtype == "I64" { 8 } else { 4 };
            let start = end;
            end += shape.iter().product::<usize>() * size;
            header.insert(
                name.clone(),
                json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}),
            );
        }
        let header = Value::Object(header).to_string();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes())
            .unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.as_file()
            .set_len((8 + header.len() + end) as u64)
            .unwrap();
        file
    }

    /// Finds out the model.
    pub fn detect(&self) -> Result<Architecture, CheckpointError> {
        let file = self.write();
        Architecture::detect(&Checkpoint::open(file.path())?)
    }

    /// Finds out the model and holds it against what it needs.
    pub fn check(&self) -> Result<CheckReport, CheckpointError> {
        let file = self.write();
        let checkpoint = Checkpoint::open(file.path())?;
        Architecture::detect(&checkpoint)?.check(&checkpoint)
    }

    /// What finding out or checking the model says when it fails; it must name the file.
    pub fn complaint(&self) -> String {
        let file = self.write();
        let checkpoint = Checkpoint::open(file.path()).unwrap();
        let checked = Architecture::detect(&checkpoint).and_then(|found| found.check(&checkpoint));
        let text = checked.expect_err("it was accepted").to_string();
        assert!(text.contains(&file.path().display().to_string()), "{text}");
        text
    }
}
