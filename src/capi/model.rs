//! Models.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use super::call::{call, call_init, clear, quiet};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::{c_text, sam_mm_error};
use super::handle::Table;
use super::strings;
use super::structs::{self, c_struct};
use crate::backend::Precision;
use crate::error::Error;
use crate::model::{Model, Source};

/// IEEE 754 binary32.
pub const SAM_MM_PRECISION_FP32: u32 = 0;
/// IEEE 754 binary16.
pub const SAM_MM_PRECISION_FP16: u32 = 1;
/// bfloat16.
pub const SAM_MM_PRECISION_BF16: u32 = 2;

/// A loaded model. May be used from many threads at once; they take turns.
#[allow(non_camel_case_types)]
pub struct sam_mm_model {
    _opaque: [u8; 0],
}

pub(super) static MODELS: Table<sam_mm_model, Entry> = Table::new(3, "sam_mm_model");

/// A model and the texts its owner may borrow from it.
pub(super) struct Entry {
    pub core: Arc<Model>,
    name: CString,
    family: CString,
    variant: CString,
    device: CString,
}

/// Which model to load and how. Fill it with `sam_mm_model_options_init`, then change what should differ.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_model_options {
    /// `sizeof(sam_mm_model_options)`.
    pub struct_size: u32,
    /// `SAM_MM_PRECISION_…` of the weights; default `SAM_MM_PRECISION_FP32`.
    pub precision: u32,
    /// Checkpoint file, UTF-8: an official `.pth` or `.pt` as it is, a fine-tune in the same layout, or `.safetensors`.
    /// The model is found out from its tensors. NULL (default) with a NULL `data`: the demo model that is built in,
    /// which knows drawn scenes, not photographs.
    pub path: *const c_char,
    /// Or the bytes of such a file in memory, borrowed for the call.
    pub data: *const u8,
    /// Bytes at `data`; 0 (default) when that is NULL.
    pub data_len: u64,
}

c_struct!(sam_mm_model_options);

/// Fills options with their defaults; `struct_size` is `sizeof(sam_mm_model_options)`. [any thread]
///
/// # Safety
/// `options` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_model_options_init(
    options: *mut sam_mm_model_options,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(options, struct_size) }
}

/// Loads a model onto the context's device; loads the backend first if that has not happened yet. `options` may be
/// NULL for the built-in demo model. Refused from inside a callback. [any thread]
///
/// # Safety
/// `options` is NULL or valid for its `struct_size`, and what it points to is as described there; `model` and `error`
/// are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_model_load(
    context: *mut sam_mm_context,
    options: *const sam_mm_model_options,
    model: *mut *mut sam_mm_model,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("model", model, std::ptr::null_mut())?;
            let entry = CONTEXTS.get(context)?;
            call.enter(&entry.core)?;
            let (source, precision) = what_to_load(options)?;
            let loaded = Model::load(&entry.core, source, precision)?;
            if entry.core.embeddings().has_disk() {
                // The backend's own globals came just now; at the end of the process they go before ours.
                super::exit::let_go_at_exit();
            }
            model.write(publish(Arc::new(loaded))?);
            Ok(())
        })
    }
}

/// Makes the handle of a loaded model.
pub(super) fn publish(core: Arc<Model>) -> Result<*mut sam_mm_model, Error> {
    let info = core.info();
    MODELS.insert(Arc::new(Entry {
        name: c_text(core.name()),
        family: c_text(&info.family),
        variant: c_text(&info.variant),
        device: c_text(core.device_name()),
        core,
    }))
}

/// # Safety
/// `options` is NULL or valid for its `struct_size`, and what it points to is as described there and lives as long as `'a`.
pub(super) unsafe fn what_to_load<'a>(
    options: *const sam_mm_model_options,
) -> Result<(Source<'a>, Precision), Error> {
    let options: sam_mm_model_options = match options.is_null() {
        true => structs::CStruct::defaults(),
        // SAFETY: as promised by the caller.
        false => unsafe { structs::read(options)? },
    };
    // SAFETY: as promised by the caller.
    let source = unsafe { source(&options)? };
    Ok((source, precision(options.precision)?))
}

/// What a loaded model is.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_model_info {
    /// `sizeof(sam_mm_model_info)`.
    pub struct_size: u32,
    /// `SAM_MM_PRECISION_…` of the weights.
    pub precision: u32,
    /// `"sam"`, `"mobile_sam"` or `"sam2"`. This and the other texts are borrowed until the model is freed.
    pub family: *const c_char,
    /// `"vit_b"`, `"vit_l"`, `"vit_h"`, `"vit_t"`, or a description of a size that has no name.
    pub variant: *const c_char,
    /// What it was loaded from: the path as given, or a word for what has no path.
    pub name: *const c_char,
    /// The device it is on, `"cpu"` or `"cuda:N"`.
    pub device: *const c_char,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of device memory the weights take.
    pub weight_bytes: u64,
    /// Bytes of one image embedding.
    pub embedding_bytes: u64,
    /// Side of the square the image is brought to, in pixels (SAM: 1024).
    pub input_size: u32,
    /// Side of the square low-resolution logits (SAM: 256); a mask input has `mask_size * mask_size` values.
    pub mask_size: u32,
    /// Masks per object with multimask output (SAM: 3).
    pub multimask_count: u32,
    /// Zero; for later use.
    pub reserved: u32,
}

c_struct!(sam_mm_model_info);

/// Tells what a model is. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_model_describe(
    model: *const sam_mm_model,
    info: *mut sam_mm_model_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let entry = MODELS.get(model)?;
            let known = entry.core.info();
            let mut answer: sam_mm_model_info = structs::zeroed();
            answer.precision = entry.core.precision().to_abi();
            answer.family = entry.family.as_ptr();
            answer.variant = entry.variant.as_ptr();
            answer.name = entry.name.as_ptr();
            answer.device = entry.device.as_ptr();
            answer.parameters = known.parameters;
            answer.weight_bytes = known.weight_bytes;
            answer.embedding_bytes = known.embedding_bytes;
            answer.input_size = known.input_size;
            answer.mask_size = known.mask_size;
            answer.multimask_count = known.multimask_count;
            structs::write(info, &answer)
        })
    }
}

/// Frees a model and the embeddings it made; running predictions end first. NULL and models freed before are ignored.
/// [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_model_free(model: *mut sam_mm_model) {
    quiet((), || {
        if let Ok(entry) = MODELS.remove(model) {
            let core = &entry.core;
            core.context().prefetch().forget_model(core.id());
        }
    });
}

fn precision(number: u32) -> Result<Precision, Error> {
    Precision::from_abi(number).ok_or_else(|| {
        let reason = format!(
            "is {number}, which is none of SAM_MM_PRECISION_FP32 (0) to SAM_MM_PRECISION_BF16 (2)"
        );
        Error::invalid_argument("precision", reason)
    })
}

/// # Safety
/// The pointers of `options` are as `sam_mm_model_options` says and live as long as `'a`.
unsafe fn source<'a>(options: &sam_mm_model_options) -> Result<Source<'a>, Error> {
    // SAFETY: as promised by the caller.
    let path = unsafe { strings::optional_path("path", options.path)? };
    match (path, options.data.is_null()) {
        (Some(_), false) => Err(Error::invalid_argument(
            "data",
            "is given besides path; a model comes from one of them",
        )),
        (Some(path), true) => Ok(Source::File(path)),
        (None, true) if options.data_len > 0 => {
            let reason = format!(
                "is NULL, but data_len is {}; for the built-in demo model leave both at 0",
                options.data_len
            );
            Err(Error::invalid_argument("data", reason))
        }
        (None, true) => Ok(Source::Demo),
        (None, false) => {
            let len = usize::try_from(options.data_len)
                .ok()
                .filter(|&len| len <= isize::MAX as usize);
            let len = len.ok_or_else(|| {
                let reason = format!(
                    "is {}, more than this process can address",
                    options.data_len
                );
                Error::invalid_argument("data_len", reason)
            })?;
            // SAFETY: as promised by the caller; the length fits an allocation.
            Ok(Source::Bytes(unsafe {
                std::slice::from_raw_parts(options.data, len)
            }))
        }
    }
}
