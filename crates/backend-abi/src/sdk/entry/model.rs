//! Models: loading, describing, encoding, decoding.

use core::slice;
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use super::{DeviceOf, EmbeddingOf, ModelOf, entry, output, silent, text};
use crate::abi::*;
use crate::error::{BackendError, Result};
use crate::exclusive::Exclusive;
use crate::layout::{self, zeroed};
use crate::sdk::{
    Backend, Checkpoint, CheckpointSource, Device, MasksMut, Model, Operation, Pixels, Prompts,
    handle,
};
use crate::types::{Plan, known_precision};

pub(super) unsafe extern "C" fn model_load<B: Backend>(
    device: *mut sam_mm_backend_device,
    checkpoint: *const sam_mm_backend_checkpoint,
    operation: *mut sam_mm_operation,
    out: *mut *mut sam_mm_backend_model,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let out = output(out, "out")?;
            let device = handle::borrow::<DeviceOf<B>, _>(device)?;
            let wire = layout::read(checkpoint, "checkpoint")?;
            let model = device.load_model(&read_checkpoint(&wire)?, &Operation::new(operation))?;
            let info = model.info();
            info.check()?;
            out.write(handle::give(Arc::new(ModelOf::<B> {
                model: Exclusive::new(model),
                family: c_string(&info.family),
                variant: c_string(&info.variant),
                info,
                _device: device,
            })));
            Ok(())
        })
    }
}

/// # Safety
/// The pointers of `wire` are NULL or valid for `'a`.
unsafe fn read_checkpoint<'a>(wire: &sam_mm_backend_checkpoint) -> Result<Checkpoint<'a>> {
    let source = match (wire.path.is_null(), wire.data.is_null()) {
        (false, true) => {
            // SAFETY: as promised by the caller.
            CheckpointSource::Path(Path::new(unsafe { text(wire.path, "checkpoint.path")? }))
        }
        (true, false) => {
            let len = usize::try_from(wire.data_len)
                .ok()
                .filter(|&len| isize::try_from(len).is_ok());
            let len = len.ok_or_else(|| {
                BackendError::invalid_argument(format!(
                    "checkpoint.data_len is {}; no memory is so long",
                    wire.data_len
                ))
            })?;
            // SAFETY: not NULL, of a size that fits, and readable by the caller's promise.
            CheckpointSource::Bytes(unsafe { slice::from_raw_parts(wire.data, len) })
        }
        (both_null, _) => {
            return Err(BackendError::invalid_argument(format!(
                "checkpoint.path and checkpoint.data are {} NULL; exactly one must be given",
                if both_null { "both" } else { "neither" }
            )));
        }
    };
    let name = match (wire.name.is_null(), source) {
        // SAFETY: as promised by the caller.
        (false, _) => unsafe { text(wire.name, "checkpoint.name")? },
        (true, CheckpointSource::Path(path)) => path.to_str().unwrap_or("the checkpoint"),
        (true, CheckpointSource::Bytes(_)) => "the checkpoint in memory",
    };
    Ok(Checkpoint {
        source,
        name,
        precision: known_precision(wire.precision, "checkpoint.precision")?,
    })
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

pub(super) unsafe extern "C" fn model_free<B: Backend>(model: *mut sam_mm_backend_model) {
    // SAFETY: the host keeps to the ABI.
    silent((), || unsafe {
        handle::take::<ModelOf<B>, _>(model).map(drop)
    });
}

pub(super) unsafe extern "C" fn model_describe<B: Backend>(
    model: *mut sam_mm_backend_model,
    out: *mut sam_mm_backend_model_info,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            layout::check_output(out, "out")?;
            let state = handle::borrow::<ModelOf<B>, _>(model)?;
            let now = state.model.lock("model")?.info();
            let wire = sam_mm_backend_model_info {
                resize: state.info.resize.to_abi(),
                input_size: state.info.input_size,
                input_element: state.info.input_element.to_abi(),
                mask_size: state.info.mask_size,
                multimask_count: state.info.multimask_count,
                parameters: state.info.parameters,
                embedding_bytes: now.embedding_bytes,
                weight_bytes: now.weight_bytes,
                family: state.family.as_ptr(),
                variant: state.variant.as_ptr(),
                precision_change_bytes: now.precision_change_bytes.unwrap_or(0),
                ..zeroed()
            };
            layout::write(out, &wire);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn model_set_precision<B: Backend>(
    model: *mut sam_mm_backend_model,
    precision: u32,
    operation: *mut sam_mm_operation,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let state = handle::borrow::<ModelOf<B>, _>(model)?;
            let precision = known_precision(precision, "precision")?;
            state
                .model
                .lock("model")?
                .set_precision(precision, &Operation::new(operation))
        })
    }
}

pub(super) unsafe extern "C" fn model_estimate<B: Backend>(
    model: *mut sam_mm_backend_model,
    plan: *const sam_mm_backend_plan,
    out: *mut sam_mm_backend_estimate,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            layout::check_output(out, "out")?;
            let state = handle::borrow::<ModelOf<B>, _>(model)?;
            let plan = Plan::from_abi(&layout::read(plan, "plan")?)?;
            let estimate = state.model.lock("model")?.estimate(&plan)?;
            layout::write(out, &estimate.to_abi());
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn encode<B: Backend>(
    model: *mut sam_mm_backend_model,
    pixels: *const sam_mm_backend_pixels,
    plan: *const sam_mm_backend_plan,
    operation: *mut sam_mm_operation,
    out: *mut *mut sam_mm_backend_embedding,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let out = output(out, "out")?;
            let state = handle::borrow::<ModelOf<B>, _>(model)?;
            let pixels = Pixels::new(&layout::read(pixels, "pixels")?, &state.info)?;
            let plan = Plan::from_abi(&layout::read(plan, "plan")?)?;
            let embedding =
                state
                    .model
                    .lock("model")?
                    .encode(&pixels, &plan, &Operation::new(operation))?;
            out.write(handle::give(Arc::new(EmbeddingOf::<B>::new(
                embedding, state,
            ))));
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn decode<B: Backend>(
    model: *mut sam_mm_backend_model,
    embedding: *mut sam_mm_backend_embedding,
    prompts: *const sam_mm_backend_prompts,
    plan: *const sam_mm_backend_plan,
    operation: *mut sam_mm_operation,
    masks: *const sam_mm_backend_masks,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let state = handle::borrow::<ModelOf<B>, _>(model)?;
            let embedding = handle::borrow::<EmbeddingOf<B>, _>(embedding)?;
            if !Arc::ptr_eq(&embedding.model, &state) {
                return Err(BackendError::invalid_argument(
                    "the embedding was made by another model",
                ));
            }
            let prompts = Prompts::new(&layout::read(prompts, "prompts")?, &state.info)?;
            let plan = Plan::from_abi(&layout::read(plan, "plan")?)?;
            let mut masks = MasksMut::new(&layout::read(masks, "masks")?, &prompts, &state.info)?;
            let mut model = state.model.lock("model")?;
            let embedding = embedding.embedding.lock("embedding")?;
            model.decode(
                &embedding,
                &prompts,
                &plan,
                &Operation::new(operation),
                &mut masks,
            )
        })
    }
}
