//! Contexts: `sam_mm_init` … `sam_mm_destroy`, and the backend a context runs on.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, OnceLock};

use super::call::{call, call_init, clear, quiet};
use super::error::{c_text, sam_mm_error};
use super::handle::Table;
use super::log::{SAM_MM_LOG_WARN, sam_mm_log_fn, sink};
use super::memory_options::{self, sam_mm_memory_options};
use super::strings;
use super::structs::{self, c_struct};
use crate::cache::weighted_lru::Limits;
use crate::context::{Context, Options};
use crate::embeddings::disk::DiskOptions;
use crate::error::Error;

/// One memory manager with its caches and models. Any number may live in a process; they share nothing but the loaded
/// backend plugins. May be used from many threads at once.
#[allow(non_camel_case_types)]
pub struct sam_mm_context {
    _opaque: [u8; 0],
}

pub(super) static CONTEXTS: Table<sam_mm_context, Entry> = Table::new(2, "sam_mm_context");

/// A context and the texts its owner may borrow from it.
pub(super) struct Entry {
    pub core: Arc<Context>,
    backend: OnceLock<BackendTexts>,
}

struct BackendTexts {
    name: CString,
    version: CString,
    path: CString,
    device: CString,
    trail: CString,
}

/// How a context is set up. Fill it with `sam_mm_options_init`, then change what should differ.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_options {
    /// `sizeof(sam_mm_options)`.
    pub struct_size: u32,
    /// Threads for work on the CPU, at most 1024; 0 (default) leaves the backend's own choice, usually one per core. Shared
    /// by all contexts of the process: the last one set counts.
    pub num_threads: u32,
    /// `"cpu"`, `"cuda:0"` (or another number; `"cuda"` alone is `"cuda:0"`), or `"auto"`, which is what NULL (default)
    /// means: the first usable GPU, else the CPU.
    pub device: *const c_char,
    /// File of the backend plugin; NULL (default) searches for one, see docs/backends.md.
    pub backend_path: *const c_char,
    /// Receives the log from the first line on; NULL (default) for none. See `sam_mm_log_set`.
    pub log_callback: sam_mm_log_fn,
    /// Passed to `log_callback`.
    pub log_user_data: *mut c_void,
    /// Most talkative level that `log_callback` receives; default `SAM_MM_LOG_WARN`.
    pub log_level: i32,
    /// Non-zero (default): GPUs that have TF32 may use it for matrix products.
    pub allow_tf32: u32,
    /// Most bytes of image embeddings kept for coming back to an image (one of SAM is 4 MiB) on the device, or in host
    /// memory where the device has none of its own; default 1 GiB.
    pub embedding_cache_bytes: u64,
    /// Budget, thresholds and monitor; NULL (default) for their defaults. Borrowed for the call.
    pub memory: *const sam_mm_memory_options,
    /// Most bytes of predictions kept for coming back to a prompt (one of SAM with three masks is 0.8 MiB), in host
    /// memory; default 64 MiB.
    pub prediction_cache_bytes: u64,
    /// Most predictions kept; default 50. 0 keeps none.
    pub prediction_cache_entries: u32,
    /// Zero; for later use.
    pub reserved: u32,
    /// Most bytes of images processed for display that are kept; default 256 MiB.
    pub image_cache_bytes: u64,
    /// Most of them that are kept; default 10. 0 keeps none.
    pub image_cache_entries: u64,
    /// Most bytes of image embeddings kept in host memory of those that left the device; default 1 GiB. 0 keeps none.
    pub embedding_host_bytes: u64,
    /// Most image embeddings kept on the device, and in host memory each; default `UINT64_MAX`: their bytes alone count.
    pub embedding_cache_entries: u64,
    /// Folder in which image embeddings are kept for later sessions, which need not exist yet; NULL (default) for none.
    /// Shared safely by several contexts and processes; a folder `sam_mm_embeddings_v1` is made in it, and nothing beside that
    /// is touched. A `content_id` that is used with it must mean the same picture to all who share the folder.
    pub embedding_disk_folder: *const c_char,
    /// Most bytes of files in it; default 8 GiB.
    pub embedding_disk_bytes: u64,
    /// Most files in it; default 100000.
    pub embedding_disk_entries: u64,
    /// Non-zero: image embeddings are kept in half precision, in host memory beside a device and on disk, in half the
    /// bytes and no longer bit for bit; see docs/caching.md. Default 0.
    pub embedding_compress: u32,
    /// Zero; for later use.
    pub reserved_2: u32,
}

c_struct!(sam_mm_options, |options| {
    options.log_level = SAM_MM_LOG_WARN;
    options.allow_tf32 = 1;
    let defaults = Options::default();
    options.embedding_cache_bytes = defaults.embedding_cache_bytes;
    options.prediction_cache_bytes = defaults.prediction_cache.bytes;
    options.prediction_cache_entries = defaults.prediction_cache.entries as u32;
    options.image_cache_bytes = defaults.image_cache.bytes;
    options.image_cache_entries = defaults.image_cache.entries as u64;
    options.embedding_host_bytes = defaults.embedding_host_bytes;
    options.embedding_cache_entries = u64::MAX;
    options.embedding_disk_bytes = DiskOptions::LIMITS.bytes;
    options.embedding_disk_entries = DiskOptions::LIMITS.entries as u64;
});

/// Fills options with their defaults; `struct_size` is `sizeof(sam_mm_options)`. [any thread]
///
/// # Safety
/// `options` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_options_init(
    options: *mut sam_mm_options,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(options, struct_size) }
}

/// Makes a context. `options` may be NULL for defaults; what it points to is borrowed for the call. No backend is
/// loaded and no device touched before the first call that needs one, so this succeeds on any machine. [any thread]
///
/// # Safety
/// `options` is NULL or valid for its `struct_size`, its strings are NUL-terminated; `context` and `error` are NULL or
/// valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_init(
    options: *const sam_mm_options,
    context: *mut *mut sam_mm_context,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("context", context, std::ptr::null_mut())?;
            let given = if options.is_null() {
                structs::CStruct::defaults()
            } else {
                structs::read(options)?
            };
            structs::reserved("reserved", given.reserved)?;
            structs::reserved("reserved_2", given.reserved_2)?;
            let mut options = Options {
                device: strings::optional("device", given.device)?
                    .unwrap_or("auto")
                    .parse()?,
                backend_path: strings::optional_path("backend_path", given.backend_path)?,
                num_threads: given.num_threads,
                allow_tf32: given.allow_tf32 != 0,
                embedding_cache_bytes: given.embedding_cache_bytes,
                embedding_cache_entries: entries(given.embedding_cache_entries),
                embedding_host_bytes: given.embedding_host_bytes,
                embedding_disk: disk_options(&given)?,
                embedding_compress: given.embedding_compress != 0,
                prediction_cache: Limits {
                    entries: given.prediction_cache_entries as usize,
                    bytes: given.prediction_cache_bytes,
                },
                image_cache: Limits {
                    entries: entries(given.image_cache_entries),
                    bytes: given.image_cache_bytes,
                },
                ..Options::default()
            };
            memory_options::apply(given.memory, &mut options)?;
            let sink = sink(given.log_callback, given.log_user_data, given.log_level)?;
            let core = Arc::new(Context::new(options, sink)?);
            context.write(CONTEXTS.insert(Arc::new(Entry {
                core,
                backend: OnceLock::new(),
            }))?);
            Ok(())
        })
    }
}

fn entries(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// # Safety
/// The folder is NULL or NUL-terminated.
unsafe fn disk_options(given: &sam_mm_options) -> Result<Option<DiskOptions>, Error> {
    // SAFETY: as promised by the caller.
    let folder =
        unsafe { strings::optional_path("embedding_disk_folder", given.embedding_disk_folder)? };
    Ok(folder.map(|folder| DiskOptions {
        folder,
        limits: Limits {
            entries: entries(given.embedding_disk_entries),
            bytes: given.embedding_disk_bytes,
        },
    }))
}

/// Destroys a context. Its jobs are cancelled, and waited for until they have ended; their handles stay valid. Models, images
/// and results made from it stay usable until they are freed themselves; what they
/// share is freed with the last of them. Waits, up to ten seconds, for embeddings that are still to be written to
/// `embedding_disk_folder`. When this returns, no callback of the context runs or will run. NULL and
/// contexts destroyed before are ignored. Not to be called from a callback of this context. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_destroy(context: *mut sam_mm_context) {
    quiet((), || {
        if let Ok(entry) = CONTEXTS.remove(context) {
            // First, as what ends with it is told as well.
            entry.core.shut_down();
            entry.core.embeddings().flush();
            // From inside a callback this is refused; it then goes with the last child.
            let _ = entry.core.jobs().events().set_callback(None);
            let _ = entry.core.log().set_sink(None);
            let _ = entry.core.memory().events().set_callback(None);
        }
    });
}

/// The backend that a context runs on.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_backend_info {
    /// `sizeof(sam_mm_backend_info)`.
    pub struct_size: u32,
    /// Zero; keeps the next field aligned.
    pub reserved: u32,
    /// Short name, such as `"torch"`. This and the other texts are borrowed until the context is destroyed.
    pub name: *const c_char,
    /// Version of the plugin and of what it stands on, such as `"0.1.0 (libtorch 2.11.0)"`.
    pub version: *const c_char,
    /// File it was loaded from.
    pub path: *const c_char,
    /// The device it runs on, `"cpu"` or `"cuda:N"`.
    pub device: *const c_char,
    /// Every file that was tried, a line each, and what came of it.
    pub trail: *const c_char,
}

c_struct!(sam_mm_backend_info);

/// Tells which backend and device a context runs on; loads the backend and opens the device if that has not happened
/// yet, which is refused from inside a callback. On failure the error lists every path tried and why it was not taken.
/// [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_backend_describe(
    context: *mut sam_mm_context,
    info: *mut sam_mm_backend_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            structs::write(info, &structs::zeroed())?;
            let entry = CONTEXTS.get(context)?;
            call.enter(&entry.core)?;
            let runtime = entry.core.runtime()?;
            let texts = entry.backend.get_or_init(|| BackendTexts {
                name: c_text(runtime.backend_name()),
                version: c_text(runtime.backend_version()),
                path: c_text(&runtime.backend_path().to_string_lossy()),
                device: c_text(runtime.device_name()),
                trail: c_text(runtime.trail()),
            });
            let mut answer: sam_mm_backend_info = structs::zeroed();
            answer.name = texts.name.as_ptr();
            answer.version = texts.version.as_ptr();
            answer.path = texts.path.as_ptr();
            answer.device = texts.device.as_ptr();
            answer.trail = texts.trail.as_ptr();
            structs::write(info, &answer)
        })
    }
}
