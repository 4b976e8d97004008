//! The backend under test, with a device and a model at hand.

use std::ffi::CString;

use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::layout::zeroed;
use sam_mm_backend_abi::types::{Element, ModelInfo, Plan, Resize};

use crate::host::{HOST, Operation};
use crate::input::{Image, Masks, Object, Output, Prompts, Wire};
use crate::raw::{Device, Embedding, Model, Query, Table, Told, description_texts};
use crate::{Checkpoint, Options};

/// The backend under test.
pub struct Subject {
    pub query: Query,
    pub table: Table,
    pub device_name: CString,
    pub checkpoint: CheckpointInput,
    /// Used by checks that need no fresh one.
    pub device: Device,
    pub model: Model,
    pub info: ModelInfo,
}

impl Subject {
    /// Asks for the table, opens the device and loads a model.
    pub fn new(query: Query, options: &Options) -> Result<Self, String> {
        let (told, table) = query.ask(SAM_MM_BACKEND_ABI_VERSION, Some(&HOST), true);
        told.succeeded("the query")?;
        let table = Table::check(table)?;
        let device_name = c_text(&options.device.to_string());
        let checkpoint = CheckpointInput::new(&options.checkpoint)?;
        let device = open(table, &device_name)?;
        let (told, model) = table.model_load(Some(&device), Some(&checkpoint.wire()), None, true);
        told.succeeded("model_load")?;
        let model = model.ok_or("model_load succeeded but gave no model")?;
        let info = describe(table, &model)?;
        Ok(Self {
            query,
            table,
            device_name,
            checkpoint,
            device,
            model,
            info,
        })
    }

    /// Opens the device once more.
    pub fn open(&self) -> Result<Device, String> {
        open(self.table, &self.device_name)
    }

    /// How the device of this run is opened.
    pub fn device_config(&self) -> Wire<'_, sam_mm_backend_device_config> {
        Wire::new(
            self,
            sam_mm_backend_device_config {
                device: self.device_name.as_ptr(),
                ..zeroed()
            },
        )
    }

    /// Loads the model once more.
    pub fn load(&self, device: &Device) -> Result<Model, String> {
        let (told, model) =
            self.table
                .model_load(Some(device), Some(&self.checkpoint.wire()), None, true);
        told.succeeded("model_load")?;
        model.ok_or_else(|| "model_load succeeded but gave no model".into())
    }

    /// Runs the image encoder of a model.
    pub fn encode_with(&self, model: &Model, image: &Image) -> Result<Embedding, String> {
        let (told, embedding) =
            self.table
                .encode(Some(model), Some(&image.wire()), Some(&plan(0)), None, true);
        told.succeeded("encode")?;
        embedding.ok_or_else(|| "encode succeeded but gave no embedding".into())
    }

    /// Runs the image encoder of the model at hand.
    pub fn encode(&self, image: &Image) -> Result<Embedding, String> {
        self.encode_with(&self.model, image)
    }

    /// Runs the mask decoder of a model, and checks what it wrote.
    pub fn decode_with(
        &self,
        model: &Model,
        embedding: &Embedding,
        prompts: &Prompts,
    ) -> Result<Masks, String> {
        let (told, output) = self.try_decode(model, embedding, prompts, None);
        told.succeeded("decode")?;
        output.masks()
    }

    /// Runs the mask decoder of the model at hand.
    pub fn decode(&self, embedding: &Embedding, prompts: &Prompts) -> Result<Masks, String> {
        self.decode_with(&self.model, embedding, prompts)
    }

    /// A decode that may fail.
    pub fn try_decode(
        &self,
        model: &Model,
        embedding: &Embedding,
        prompts: &Prompts,
        operation: Option<&Operation>,
    ) -> (Told, Output) {
        let mut output = Output::new(&self.info, prompts);
        let plan = plan(prompts.objects() as u32);
        let wire = output.wire();
        let told = self.table.decode(
            Some(model),
            Some(embedding),
            Some(&prompts.wire()),
            Some(&plan),
            operation,
            Some(&wire),
        );
        (told, output)
    }

    /// The exported form of an embedding.
    pub fn export(&self, embedding: &Embedding) -> Result<Vec<u8>, String> {
        let mut required = 0;
        self.table
            .embedding_export(Some(embedding), None, Some(&mut required))
            .succeeded("embedding_export")?;
        let mut bytes = vec![
            0;
            usize::try_from(required)
                .map_err(|_| format!("an export of {required} bytes"))?
        ];
        self.table
            .embedding_export(Some(embedding), Some(&mut bytes), Some(&mut required))
            .succeeded("embedding_export")?;
        Ok(bytes)
    }

    /// Makes an embedding from exported bytes.
    pub fn import(&self, bytes: &[u8]) -> Result<Embedding, String> {
        let (told, embedding) =
            self.table
                .embedding_import(Some(&self.model), Some(bytes), None, true);
        told.succeeded("embedding_import")?;
        embedding.ok_or_else(|| "embedding_import succeeded but gave no embedding".into())
    }

    /// Memory figures of the device at hand.
    pub fn mem_info(&self) -> Result<sam_mm_backend_mem_info, String> {
        let mut figures = zeroed();
        self.table
            .device_mem_info(Some(&self.device), Some(&mut figures))
            .succeeded("device_mem_info")?;
        Ok(figures)
    }

    /// An image that fills most of the input, as a host would make it from a photograph.
    pub fn photograph(&self, seed: u32) -> Image {
        let side = self.info.input_size;
        match self.info.resize {
            Resize::LongestSide => Image::new(&self.info, side, (side * 3 / 4).max(1), 0, seed),
            Resize::Stretch => Image::new(&self.info, side, side, 0, seed),
        }
    }

    /// One click near the middle of that image.
    pub fn click(&self, multimask: bool) -> Prompts {
        Prompts::new(
            &self.info,
            &[Object::click(self.at(0.45), self.at(0.4))],
            multimask,
        )
    }

    /// A coordinate of the original image, as a share of the input's side.
    pub fn at(&self, share: f32) -> f32 {
        2.0 * share * self.info.input_size as f32
    }
}

/// Single precision and full attention.
pub fn plan(num_objects: u32) -> sam_mm_backend_plan {
    Plan {
        num_objects,
        ..Plan::DEFAULT
    }
    .to_abi()
}

/// Text of ours as C wants it.
pub fn c_text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

fn open(table: Table, name: &CString) -> Result<Device, String> {
    let config = sam_mm_backend_device_config {
        device: name.as_ptr(),
        ..zeroed()
    };
    let (told, device) = table.device_open(Some(&config), true);
    told.succeeded("device_open")?;
    device.ok_or_else(|| "device_open succeeded but gave no device".into())
}

/// The description of a model, checked.
pub fn describe(table: Table, model: &Model) -> Result<ModelInfo, String> {
    let mut wire: sam_mm_backend_model_info = zeroed();
    table
        .model_describe(Some(model), Some(&mut wire))
        .succeeded("model_describe")?;
    let [family, variant] = description_texts(&wire);
    let text = |text: Option<String>, name: &str| {
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| format!("{name} is NULL, empty or not UTF-8"))
    };
    let unknown = |name: &str, value: u32| format!("{name} is {value}, which is not known");
    let info = ModelInfo {
        family: text(family, "family")?,
        variant: text(variant, "variant")?,
        resize: Resize::from_abi(wire.resize).ok_or_else(|| unknown("resize", wire.resize))?,
        input_size: wire.input_size,
        input_element: Element::from_abi(wire.input_element)
            .ok_or_else(|| unknown("input_element", wire.input_element))?,
        mask_size: wire.mask_size,
        multimask_count: wire.multimask_count,
        parameters: wire.parameters,
        embedding_bytes: wire.embedding_bytes,
        weight_bytes: wire.weight_bytes,
        precision_change_bytes: Some(wire.precision_change_bytes).filter(|&bytes| bytes > 0),
    };
    info.check().map_err(|error| error.message)?;
    Ok(info)
}

/// A checkpoint as the ABI wants it.
pub struct CheckpointInput {
    path: Option<CString>,
    bytes: Vec<u8>,
    name: CString,
}

impl CheckpointInput {
    pub fn new(checkpoint: &Checkpoint) -> Result<Self, String> {
        Ok(match checkpoint {
            Checkpoint::File(path) => {
                let text = path
                    .to_str()
                    .ok_or_else(|| format!("{path:?} is not UTF-8"))?;
                Self {
                    path: Some(c_text(text)),
                    bytes: Vec::new(),
                    name: c_text(text),
                }
            }
            Checkpoint::Bytes(bytes) => Self {
                path: None,
                bytes: bytes.clone(),
                name: c_text("the checkpoint of the suite"),
            },
        })
    }

    /// The struct of the border.
    pub fn wire(&self) -> Wire<'_, sam_mm_backend_checkpoint> {
        let mut wire: sam_mm_backend_checkpoint = zeroed();
        match &self.path {
            Some(path) => wire.path = path.as_ptr(),
            None => (wire.data, wire.data_len) = (self.bytes.as_ptr(), self.bytes.len() as u64),
        }
        wire.name = self.name.as_ptr();
        Wire::new(self, wire)
    }
}
