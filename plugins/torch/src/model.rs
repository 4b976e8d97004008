//! A model as the host sees it.

use sam_mm_backend_abi::sdk::{
    BackendError, Checkpoint, Element, Estimate, LogLevel, MasksMut, Model, ModelInfo, Operation,
    Pixels, Plan, Precision, Prompts, Resize, Result,
};
use sam_mm_checkpoint::{Architecture, CheckReport, SamConfig};

use crate::embedding::ImageEmbedding;
use crate::error::Error;
use crate::needs;
use crate::precision::{check_supported, element_size};
use crate::sam::Sam;
use crate::shim::Scope;
use crate::source::{self, Source};

/// A loaded model.
pub struct TorchModel {
    sam: Sam,
    source: Source,
    family: &'static str,
    variant: String,
    parameters: u64,
}

impl TorchModel {
    /// Loads a model onto a device.
    ///
    /// # Errors
    /// As [`sam_mm_backend_abi::sdk::Device::load_model`].
    pub fn load(
        device: tch::Device,
        given: &Checkpoint<'_>,
        operation: &Operation<'_>,
    ) -> Result<Self> {
        check_supported(given.precision, device)?;
        let checkpoint = source::open(given)?;
        operation.check_cancelled()?;
        let architecture = Architecture::detect(&checkpoint).map_err(Error::from)?;
        let report = architecture.check(&checkpoint).map_err(Error::from)?;
        tell_unused(&report, given.name, operation);
        let Architecture::Sam(config) = &architecture else {
            return Err(BackendError::unsupported(format!(
                "{} holds {}, which this backend does not run",
                given.name,
                architecture.describe()
            )));
        };
        operation.log(
            LogLevel::Info,
            &format!("{} holds {}", given.name, architecture.describe()),
        );
        let parameters = architecture.parameters();
        Ok(Self {
            sam: load_weights(
                &checkpoint,
                config,
                device,
                given.precision,
                parameters,
                operation,
            )?,
            source: Source::of(given),
            family: architecture.family(),
            variant: architecture.variant(),
            parameters,
        })
    }

    fn check_plan(&self, plan: &Plan) -> Result<()> {
        if plan.precision == self.sam.precision() {
            return Ok(());
        }
        Err(BackendError::unsupported(format!(
            "the plan is to compute in {}, and the model's weights are in {}; set the model's precision first",
            plan.precision,
            self.sam.precision()
        )))
    }
}

/// A tensor that nobody reads may be what made a fine-tune differ: the caller should know.
fn tell_unused(report: &CheckReport, name: &str, operation: &Operation<'_>) {
    if let [first, rest @ ..] = report.unexpected.as_slice() {
        operation.log(
            LogLevel::Warn,
            &format!(
                "{name} holds {first} and {} more tensors that are no part of {}; they are not used",
                rest.len(),
                report.found
            ),
        );
    }
}

fn load_weights(
    checkpoint: &sam_mm_checkpoint::Checkpoint<'_>,
    config: &SamConfig,
    device: tch::Device,
    precision: Precision,
    parameters: u64,
    operation: &Operation<'_>,
) -> Result<Sam> {
    let bytes = parameters * element_size(precision) as u64;
    operation.with_recovery(bytes, || {
        let check = || Ok(operation.check_cancelled()?);
        Ok(Sam::load(
            checkpoint,
            config.clone(),
            device,
            precision,
            &check,
        )?)
    })
}

impl Model for TorchModel {
    type Embedding = ImageEmbedding;

    fn info(&self) -> ModelInfo {
        let config = self.sam.config();
        let size = element_size(self.sam.precision()) as u64;
        ModelInfo {
            family: self.family.to_owned(),
            variant: self.variant.clone(),
            resize: Resize::LongestSide,
            input_size: config.image_size() as u32,
            input_element: Element::U8,
            mask_size: config.prompt_encoder.mask_input_size() as u32,
            multimask_count: config.mask_decoder.num_multimask_outputs as u32,
            parameters: self.parameters,
            embedding_bytes: self.sam.embedding_elements() as u64 * size,
            weight_bytes: self.sam.weight_elements(self.parameters) * size,
            precision_change_bytes: needs::precision_change(config),
        }
    }

    fn set_precision(&mut self, precision: Precision, operation: &Operation<'_>) -> Result<()> {
        if precision == self.sam.precision() {
            return Ok(());
        }
        let _scope = Scope::enter().map_err(Error::from)?;
        check_supported(precision, self.sam.device())?;
        let checkpoint = self.source.reopen()?;
        let size = |precision| self.parameters * element_size(precision) as u64;
        let more = size(precision).saturating_sub(size(self.sam.precision()));
        let sam = &mut self.sam;
        operation.with_recovery(more, || {
            let check = || Ok(operation.check_cancelled()?);
            Ok(sam.set_precision(&checkpoint, precision, &check)?)
        })?;
        Ok(())
    }

    fn estimate(&self, plan: &Plan) -> Result<Estimate> {
        check_supported(plan.precision, self.sam.device())?;
        let size = element_size(plan.precision) as u64;
        Ok(Estimate {
            embedding_bytes: self.sam.embedding_elements() as u64 * size,
            encode_workspace_bytes: self.sam.encode_elements(plan.attention) * size,
            decode_workspace_bytes: self.sam.decode_elements(plan.num_objects) * size,
        })
    }

    fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        plan: &Plan,
        operation: &Operation<'_>,
    ) -> Result<ImageEmbedding> {
        let _scope = Scope::enter().map_err(Error::from)?;
        self.check_plan(plan)?;
        let needs = self.estimate(plan)?;
        let bytes = needs.encode_workspace_bytes + needs.embedding_bytes;
        operation.with_recovery(bytes, || {
            let check_cancelled = || Ok(operation.check_cancelled()?);
            Ok(self.sam.encode(pixels, plan.attention, &check_cancelled)?)
        })
    }

    fn decode(
        &mut self,
        embedding: &ImageEmbedding,
        prompts: &Prompts<'_>,
        plan: &Plan,
        operation: &Operation<'_>,
        masks: &mut MasksMut<'_>,
    ) -> Result<()> {
        let _scope = Scope::enter().map_err(Error::from)?;
        self.check_plan(plan)?;
        if embedding.model() != self.sam.key() {
            return Err(BackendError::invalid_argument(format!(
                "the embedding is of another model ({}; this one is {})",
                embedding.model(),
                self.sam.key()
            )));
        }
        let num_objects = prompts.objects.len() as u32;
        let bytes = self
            .estimate(&Plan {
                num_objects,
                ..*plan
            })?
            .decode_workspace_bytes;
        operation.with_recovery(bytes, || {
            let check_cancelled = || Ok(operation.check_cancelled()?);
            Ok(self
                .sam
                .decode(embedding, prompts, &check_cancelled, masks)?)
        })
    }

    fn import_embedding(
        &mut self,
        bytes: &[u8],
        operation: &Operation<'_>,
    ) -> Result<ImageEmbedding> {
        let _scope = Scope::enter().map_err(Error::from)?;
        operation.with_recovery(bytes.len() as u64, || {
            Ok(ImageEmbedding::import(
                bytes,
                self.sam.key(),
                self.sam.device(),
            )?)
        })
    }
}
