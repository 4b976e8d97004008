//! The functions of the table for any [`Backend`]: check, call, hand over the result.

mod device;
mod embedding;
mod model;

use core::ffi::{CStr, c_char, c_void};
use core::ptr;

use crate::abi::*;
use crate::error::{BackendError, Result};
use crate::guard;
use crate::layout;
use crate::sdk::handle::{EmbeddingState, ModelState};
use crate::sdk::operation::set_host;
use crate::sdk::{Backend, LogLevel};

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
        probe: Some(device::probe::<B>),
        device_open: Some(device::device_open::<B>),
        device_close: Some(device::device_close::<B>),
        device_mem_info: Some(device::device_mem_info::<B>),
        device_trim: Some(device::device_trim::<B>),
        model_load: Some(model::model_load::<B>),
        model_free: Some(model::model_free::<B>),
        model_describe: Some(model::model_describe::<B>),
        model_set_precision: Some(model::model_set_precision::<B>),
        model_estimate: Some(model::model_estimate::<B>),
        encode: Some(model::encode::<B>),
        decode: Some(model::decode::<B>),
        embedding_free: Some(embedding::embedding_free::<B>),
        embedding_bytes: Some(embedding::embedding_bytes::<B>),
        embedding_export: Some(embedding::embedding_export::<B>),
        embedding_import: Some(embedding::embedding_import::<B>),
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

unsafe extern "C" fn get_extension<B: Backend>(id: *const c_char) -> *const c_void {
    silent(ptr::null(), || {
        if id.is_null() {
            return Ok(ptr::null());
        }
        // SAFETY: NUL-terminated by the ABI.
        let id = unsafe { CStr::from_ptr(id) };
        if id.to_bytes() == SAM_MM_BACKEND_EMBEDDING_HALF.as_bytes() {
            return Ok(ptr::from_ref(embedding::half::<B>()).cast());
        }
        Ok(B::extension(id).unwrap_or(ptr::null()))
    })
}
