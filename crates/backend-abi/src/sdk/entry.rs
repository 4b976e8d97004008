//! The functions of the table for any [`Backend`]: check, call, hand over the result.

use core::ffi::{CStr, c_char, c_void};
use core::{ptr, slice};
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use crate::abi::*;
use crate::error::{BackendError, Result, write_text};
use crate::exclusive::Exclusive;
use crate::guard;
use crate::layout::{self, zeroed};
use crate::sdk::handle::{self, EmbeddingState, ModelState};
use crate::sdk::operation::set_host;
use crate::sdk::{
    Backend, Checkpoint, CheckpointSource, Device, Embedding, LogLevel, MasksMut, Model, Operation,
    Pixels, Prompts,
};
use crate::types::{DeviceConfig, DeviceName, Plan, known_precision};

/// A table of functions in a static.
pub struct Table(sam_mm_backend);

// SAFETY: the table is never written to, and what its pointers refer to is static.
unsafe impl Sync for Table {}

/// The table of a backend. `name` and `version` end in NUL; see [`nul_terminated`](crate::sdk::nul_terminated).
pub const fn table<B: Backend>(name: &'static [u8], version: &'static [u8]) -> Table {
    assert!(
        matches!(name, [.., 0]) && matches!(version, [.., 0]),
        "texts of the table end in NUL"
    );
    Table(sam_mm_backend {
        struct_size: size_of::<sam_mm_backend>() as u32,
        abi_version: SAM_MM_BACKEND_ABI_VERSION,
        name: name.as_ptr().cast(),
        version: version.as_ptr().cast(),
        probe: Some(probe::<B>),
        device_open: Some(device_open::<B>),
        device_close: Some(device_close::<B>),
        device_mem_info: Some(device_mem_info::<B>),
        device_trim: Some(device_trim::<B>),
        model_load: Some(model_load::<B>),
        model_free: Some(model_free::<B>),
        model_describe: Some(model_describe::<B>),
        model_set_precision: Some(model_set_precision::<B>),
        model_estimate: Some(model_estimate::<B>),
        encode: Some(encode::<B>),
        decode: Some(decode::<B>),
        embedding_free: Some(embedding_free::<B>),
        embedding_bytes: Some(embedding_bytes::<B>),
        embedding_export: Some(embedding_export::<B>),
        embedding_import: Some(embedding_import::<B>),
        get_extension: Some(get_extension::<B>),
    })
}

/// What `sam_mm_backend_query` does; see [`export_backend!`](crate::export_backend).
///
/// # Safety
/// Each pointer is NULL or valid as the ABI says; `host` stays valid until the process ends.
pub unsafe fn query(
    table: &'static Table,
    host_abi: u32,
    host: *const sam_mm_host,
    out: *mut *const sam_mm_backend,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        entry(error, || {
            let out = output(out, "out")?;
            let major = host_abi >> 16;
            if major != SAM_MM_BACKEND_ABI_MAJOR {
                return Err(BackendError::unsupported(format!(
                    "the host speaks version {major}.{} of the plugin ABI; this plugin speaks \
                     {SAM_MM_BACKEND_ABI_MAJOR}.{SAM_MM_BACKEND_ABI_MINOR}",
                    host_abi & 0xffff
                )));
            }
            layout::read(host, "host")?;
            set_host(host);
            out.write(&raw const table.0);
            Ok(())
        })
    }
}

type DeviceOf<B> = <B as Backend>::Device;
type ModelOf<B> = ModelState<DeviceOf<B>>;
type EmbeddingOf<B> = EmbeddingState<DeviceOf<B>>;

/// Runs a function of the table: a panic becomes `SAM_MM_ERR_INTERNAL`, an error goes into `error`.
///
/// # Safety
/// `error` is NULL or the host's struct.
unsafe fn entry(error: *mut sam_mm_backend_error, body: impl FnOnce() -> Result<()>) -> i32 {
    let failure = match guard::catch(body) {
        Ok(Ok(())) => return SAM_MM_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => BackendError::internal(format!("a defect of the plugin was caught: {panic}")),
    };
    // SAFETY: a struct of the host when not NULL; one too short for the message is left alone.
    unsafe {
        if layout::check_output(error, "error").is_ok() {
            failure.write_to(&mut *error);
        }
    }
    failure.code
}

/// Runs a function of the table that cannot report: what goes wrong is logged.
fn silent<T>(fallback: T, body: impl FnOnce() -> Result<T>) -> T {
    let failure = match guard::catch(body) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure.message,
        Err(panic) => format!("a defect of the plugin was caught: {panic}"),
    };
    crate::sdk::log(LogLevel::Error, &failure);
    fallback
}

/// An output that is a single value.
fn output<T>(out: *mut T, name: &str) -> Result<Out<T>> {
    if out.is_null() || !out.is_aligned() {
        return Err(BackendError::invalid_argument(format!(
            "{name} is {out:p}; an address for the result is needed"
        )));
    }
    Ok(Out(out))
}

/// A checked address for one value.
struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// The address is writable.
    unsafe fn write(&self, value: T) {
        // SAFETY: not NULL and aligned by `output`, writable by the caller's promise.
        unsafe { self.0.write(value) }
    }
}

/// # Safety
/// `text` is NULL or NUL-terminated and lives for `'a`.
unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(BackendError::invalid_argument(format!("{name} is NULL")));
    }
    // SAFETY: as promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| {
        BackendError::invalid_argument(format!("{name} is {text:?}, which is not UTF-8"))
    })
}

unsafe extern "C" fn probe<B: Backend>(
    device: *const c_char,
    out: *mut sam_mm_backend_probe,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            layout::check_output(out, "out")?;
            let found = B::probe(text(device, "device")?.parse::<DeviceName>()?)?;
            let mut wire: sam_mm_backend_probe = zeroed();
            wire.score = found.score;
            write_text(&mut wire.reason, &found.reason);
            layout::write(out, &wire);
            Ok(())
        })
    }
}

unsafe extern "C" fn device_open<B: Backend>(
    config: *const sam_mm_backend_device_config,
    out: *mut *mut sam_mm_backend_device,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let out = output(out, "out")?;
            let config = layout::read(config, "config")?;
            let device = B::open(&DeviceConfig {
                device: text(config.device, "config.device")?.parse()?,
                num_threads: (config.num_threads > 0).then_some(config.num_threads),
                memory_limit_bytes: (config.memory_limit_bytes > 0)
                    .then_some(config.memory_limit_bytes),
                allow_tf32: config.allow_tf32 != 0,
            })?;
            out.write(handle::give(Arc::new(device)));
            Ok(())
        })
    }
}

unsafe extern "C" fn device_close<B: Backend>(device: *mut sam_mm_backend_device) {
    // SAFETY: the host keeps to the ABI.
    silent((), || unsafe {
        handle::take::<DeviceOf<B>, _>(device).map(drop)
    });
}

unsafe extern "C" fn device_mem_info<B: Backend>(
    device: *mut sam_mm_backend_device,
    out: *mut sam_mm_backend_mem_info,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            layout::check_output(out, "out")?;
            let info = handle::borrow::<DeviceOf<B>, _>(device)?.mem_info()?;
            layout::write(out, &info.to_abi());
            Ok(())
        })
    }
}

unsafe extern "C" fn device_trim<B: Backend>(
    device: *mut sam_mm_backend_device,
    freed: *mut u64,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let freed = output(freed, "freed")?;
            freed.write(handle::borrow::<DeviceOf<B>, _>(device)?.trim()?);
            Ok(())
        })
    }
}

unsafe extern "C" fn model_load<B: Backend>(
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

unsafe extern "C" fn model_free<B: Backend>(model: *mut sam_mm_backend_model) {
    // SAFETY: the host keeps to the ABI.
    silent((), || unsafe {
        handle::take::<ModelOf<B>, _>(model).map(drop)
    });
}

unsafe extern "C" fn model_describe<B: Backend>(
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
                ..zeroed()
            };
            layout::write(out, &wire);
            Ok(())
        })
    }
}

unsafe extern "C" fn model_set_precision<B: Backend>(
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

unsafe extern "C" fn model_estimate<B: Backend>(
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

unsafe extern "C" fn encode<B: Backend>(
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

unsafe extern "C" fn decode<B: Backend>(
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

unsafe extern "C" fn embedding_free<B: Backend>(embedding: *mut sam_mm_backend_embedding) {
    // SAFETY: the host keeps to the ABI.
    silent((), || unsafe {
        handle::take::<EmbeddingOf<B>, _>(embedding).map(drop)
    });
}

unsafe extern "C" fn embedding_bytes<B: Backend>(embedding: *mut sam_mm_backend_embedding) -> u64 {
    // SAFETY: the host keeps to the ABI.
    silent(0, || unsafe {
        Ok(handle::borrow::<EmbeddingOf<B>, _>(embedding)?.device_bytes)
    })
}

unsafe extern "C" fn embedding_export<B: Backend>(
    embedding: *mut sam_mm_backend_embedding,
    buffer: *mut u8,
    capacity: u64,
    required: *mut u64,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let required = output(required, "required")?;
            let state = handle::borrow::<EmbeddingOf<B>, _>(embedding)?;
            let embedding = state.embedding.lock("embedding")?;
            let len = embedding.export_len();
            required.write(len as u64);
            if buffer.is_null() {
                return Ok(());
            }
            if capacity < len as u64 {
                return Err(BackendError::invalid_argument(format!(
                    "capacity is {capacity}; the exported embedding has {len} bytes"
                )));
            }
            embedding.export(slice::from_raw_parts_mut(buffer, len))
        })
    }
}

unsafe extern "C" fn embedding_import<B: Backend>(
    model: *mut sam_mm_backend_model,
    bytes: *const u8,
    len: u64,
    operation: *mut sam_mm_operation,
    out: *mut *mut sam_mm_backend_embedding,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let out = output(out, "out")?;
            let state = handle::borrow::<ModelOf<B>, _>(model)?;
            let fits = usize::try_from(len)
                .ok()
                .filter(|&len| isize::try_from(len).is_ok());
            let (false, Some(len)) = (bytes.is_null(), fits) else {
                return Err(BackendError::invalid_argument(format!(
                    "bytes is {bytes:p} with len {len}"
                )));
            };
            let bytes = slice::from_raw_parts(bytes, len);
            let embedding = state
                .model
                .lock("model")?
                .import_embedding(bytes, &Operation::new(operation))?;
            out.write(handle::give(Arc::new(EmbeddingOf::<B>::new(
                embedding, state,
            ))));
            Ok(())
        })
    }
}

unsafe extern "C" fn get_extension<B: Backend>(id: *const c_char) -> *const c_void {
    silent(ptr::null(), || {
        if id.is_null() {
            return Ok(ptr::null());
        }
        // SAFETY: NUL-terminated by the ABI.
        Ok(B::extension(unsafe { CStr::from_ptr(id) }).unwrap_or(ptr::null()))
    })
}
