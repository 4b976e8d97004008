//! A model as the host sees it.

use sam_mm_backend_abi::sdk::{
    BackendError, Checkpoint, Estimate, LogLevel, MasksMut, Model, ModelInfo, Operation, Pixels,
    Plan, Precision, Prompts, Result,
};
use sam_mm_checkpoint::{Architecture, CheckReport};

use crate::cells::PER_CELL;
use crate::embedding::ImageEmbedding;
use crate::error::Error;
use crate::network::Network;
use crate::precision::{check_supported, element_size};
use crate::sam::Sam;
use crate::sam2::Sam2;
use crate::shim::Scope;
use crate::source::{self, Source};

/// A loaded model.
pub struct TorchModel {
    network: Box<dyn Network>,
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
        operation.log(
            LogLevel::Info,
            &format!("{} holds {}", given.name, architecture.describe()),
        );
        let parameters = architecture.parameters();
        Ok(Self {
            network: load_weights(
                &checkpoint,
                &architecture,
                device,
                given.precision,
                operation,
            )?,
            source: Source::of(given),
            family: architecture.family(),
            variant: architecture.variant(),
            parameters,
        })
    }

    fn check_plan(&self, plan: &Plan) -> Result<()> {
        if plan.precision == self.network.precision() {
            return Ok(());
        }
        Err(BackendError::unsupported(format!(
            "the plan is to compute in {}, and the model's weights are in {}; set the model's precision first",
            plan.precision,
            self.network.precision()
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
    architecture: &Architecture,
    device: tch::Device,
    precision: Precision,
    operation: &Operation<'_>,
) -> Result<Box<dyn Network>> {
    let bytes = architecture.parameters() * element_size(precision) as u64;
    operation.with_recovery(bytes, || {
        let check = || Ok(operation.check_cancelled()?);
        let network: Box<dyn Network> = match architecture.clone() {
            Architecture::Sam(config) => {
                Box::new(Sam::load(checkpoint, config, device, precision, &check)?)
            }
            Architecture::Sam2(config) => {
                Box::new(Sam2::load(checkpoint, config, device, precision, &check)?)
            }
            other => {
                return Err(BackendError::unsupported(format!(
                    "{} holds {}, which this backend does not run",
                    checkpoint.source_name(),
                    other.describe()
                )));
            }
        };
        Ok(network)
    })
}

impl Model for TorchModel {
    type Embedding = ImageEmbedding;

    fn info(&self) -> ModelInfo {
        let size = element_size(self.network.precision()) as u64;
        let key = self.network.key();
        let (resize, input_element) = self.network.input();
        ModelInfo {
            family: self.family.to_owned(),
            variant: self.variant.clone(),
            resize,
            input_size: key.input_size,
            input_element,
            mask_size: key.grid * PER_CELL.isqrt() as u32,
            multimask_count: self.network.multimask_count() as u32,
            parameters: self.parameters,
            embedding_bytes: key.elements() as u64 * size,
            weight_bytes: self.network.weight_elements(self.parameters) * size,
            precision_change_bytes: self.network.precision_change_bytes(),
        }
    }

    fn set_precision(&mut self, precision: Precision, operation: &Operation<'_>) -> Result<()> {
        if precision == self.network.precision() {
            return Ok(());
        }
        let _scope = Scope::enter().map_err(Error::from)?;
        check_supported(precision, self.network.device())?;
        let checkpoint = self.source.reopen()?;
        let size = |precision| self.parameters * element_size(precision) as u64;
        let more = size(precision).saturating_sub(size(self.network.precision()));
        let network = &mut self.network;
        operation.with_recovery(more, || {
            let check = || Ok(operation.check_cancelled()?);
            Ok(network.set_precision(&checkpoint, precision, &check)?)
        })?;
        Ok(())
    }

    fn estimate(&self, plan: &Plan) -> Result<Estimate> {
        check_supported(plan.precision, self.network.device())?;
        let size = element_size(plan.precision) as u64;
        Ok(Estimate {
            embedding_bytes: self.network.key().elements() as u64 * size,
            encode_workspace_bytes: self.network.encode_elements(plan.attention) * size,
            decode_workspace_bytes: self.network.decode_elements(plan.num_objects) * size,
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
            Ok(self
                .network
                .encode(pixels, plan.attention, &check_cancelled)?)
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
        if embedding.model() != self.network.key() {
            return Err(BackendError::invalid_argument(format!(
                "the embedding is of another model ({}; this one is {})",
                embedding.model(),
                self.network.key()
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
                .network
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
                self.network.key(),
                self.network.device(),
            )?)
        })
    }
}
