//! The functions of a plugin, called as they are.
//!
//! `None` stands for NULL. What structs point to is made in [`crate::input`] and is as long as a plugin that keeps the
//! contract reads; where a struct lies about that, the contract says that the plugin refuses it before it reads.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;

use libloading::Library;
use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::error::{code_name, read_text};
use sam_mm_backend_abi::layout::{AbiStruct, zeroed};

use crate::host::{self, Operation};

/// What a function answered.
#[derive(Clone, Debug)]
pub struct Told {
    /// The status.
    pub code: i32,
    /// The words.
    pub message: String,
}

impl Told {
    /// The function must have succeeded.
    pub fn succeeded(&self, what: &str) -> Result<(), String> {
        if self.code == SAM_MM_OK {
            return Ok(());
        }
        Err(format!(
            "{what} failed with {} ({}): {}",
            code_name(self.code),
            self.code,
            self.message
        ))
    }

    /// The function must have failed with one of the codes, and said why.
    pub fn refused(&self, what: &str, codes: &[i32]) -> Result<(), String> {
        if !codes.contains(&self.code) {
            let wanted: Vec<_> = codes.iter().map(|&code| code_name(code)).collect();
            let got = code_name(self.code);
            return Err(format!(
                "{what} should be answered with {}, not {got}",
                wanted.join(" or ")
            ));
        }
        if self.message.trim().is_empty() {
            return Err(format!("{what} was refused without a word"));
        }
        Ok(())
    }
}

fn call(function: impl FnOnce(*mut sam_mm_backend_error) -> i32) -> Told {
    let mut error: sam_mm_backend_error = zeroed();
    let code = function(&raw mut error);
    Told {
        code,
        message: read_text(&error.message).into_owned(),
    }
}

fn pointer<T>(value: Option<&T>) -> *const T {
    value.map_or(ptr::null(), ptr::from_ref)
}

fn pointer_mut<T>(value: Option<&mut T>) -> *mut T {
    value.map_or(ptr::null_mut(), ptr::from_mut)
}

fn text(value: Option<&CStr>) -> *const c_char {
    value.map_or(ptr::null(), CStr::as_ptr)
}

/// The query of a loaded plugin.
///
/// # Safety
/// The file is loaded already and exports the symbol with the type of the ABI.
pub unsafe fn query_of(path: &Path) -> Result<sam_mm_backend_query_fn, libloading::Error> {
    // SAFETY: as promised by the caller; the library stays loaded.
    unsafe {
        let library = Library::new(path)?;
        let query = *library.get::<sam_mm_backend_query_fn>(QUERY_SYMBOL)?;
        std::mem::forget(library);
        Ok(query)
    }
}

/// A plugin's one exported function.
#[derive(Clone, Copy)]
pub struct Query(pub sam_mm_backend_query_fn);

impl Query {
    /// Asks for the table; with `place` false, NULL is passed for the place of the answer.
    pub fn ask(
        self,
        version: u32,
        host: Option<&'static sam_mm_host>,
        place: bool,
    ) -> (Told, *const sam_mm_backend) {
        let mut table = ptr::null();
        let out = if place {
            &raw mut table
        } else {
            ptr::null_mut()
        };
        // SAFETY: the plugin's function; a host is static.
        let told = call(|error| unsafe { (self.0)(version, pointer(host), out, error) });
        (told, table)
    }

    /// Asks without a place for the error.
    pub fn ask_without_error(self, version: u32) -> i32 {
        let mut table = ptr::null();
        // SAFETY: as above; NULL is allowed for the error.
        unsafe {
            (self.0)(
                version,
                &raw const host::HOST,
                &raw mut table,
                ptr::null_mut(),
            )
        }
    }
}

/// A table that was checked to be whole.
#[derive(Clone, Copy)]
pub struct Table(&'static sam_mm_backend);

// SAFETY: the functions are safe against any thread by the ABI; the table is never written to.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// The table at an address, when it is whole; else what is missing.
    pub fn check(table: *const sam_mm_backend) -> Result<Self, String> {
        if table.is_null() || !table.is_aligned() {
            return Err(format!("the table is at {table:p}"));
        }
        // SAFETY: not NULL; the plugin gave it as the address of its static table, which starts with its size.
        let size = unsafe { table.cast::<u32>().read() };
        if size < sam_mm_backend::MIN_SIZE {
            return Err(format!(
                "struct_size of the table is {size}, below {}",
                sam_mm_backend::MIN_SIZE
            ));
        }
        // SAFETY: as large as the struct, and static.
        let table = unsafe { &*table };
        macro_rules! required {
            ($($function:ident)*) => {
                $(if table.$function.is_none() {
                    return Err(format!("{} is NULL", stringify!($function)));
                })*
            };
        }
        required! {
            probe device_open device_close device_mem_info device_trim model_load model_free model_describe
            model_set_precision model_estimate encode decode embedding_free embedding_bytes embedding_export
            embedding_import
        }
        Ok(Self(table))
    }

    /// The version of the ABI it was made for.
    pub fn abi_version(self) -> u32 {
        self.0.abi_version
    }

    /// Its name and version, `None` where they are NULL.
    pub fn texts(self) -> [Option<String>; 2] {
        // SAFETY: NULL or NUL-terminated and static by the ABI.
        [self.0.name, self.0.version].map(|text| unsafe { read_c_text(text) })
    }

    /// Where the texts lie, to see whether they stay.
    pub fn addresses(self) -> [usize; 3] {
        [
            ptr::from_ref(self.0).addr(),
            self.0.name.addr(),
            self.0.version.addr(),
        ]
    }

    /// Whether an extension that nobody can know of is denied.
    pub fn denies_unknown_extensions(self) -> bool {
        // SAFETY: the plugin's function with a NUL-terminated text.
        self.0
            .get_extension
            .is_none_or(|get| unsafe { get(c"sam-mm-conformance.unknown/1".as_ptr()) }.is_null())
    }

    /// `probe`.
    pub fn probe(self, device: Option<&CStr>, out: Option<&mut sam_mm_backend_probe>) -> Told {
        // SAFETY: the plugin's function; see the head of this file. So for all calls below.
        call(|error| unsafe { self.0.probe.unwrap()(text(device), pointer_mut(out), error) })
    }

    /// `device_open`; with `place` false, NULL is passed for the place of the answer.
    pub fn device_open(
        self,
        config: Option<&sam_mm_backend_device_config>,
        place: bool,
    ) -> (Told, Option<Device>) {
        let mut raw = ptr::null_mut();
        let out = if place { &raw mut raw } else { ptr::null_mut() };
        // SAFETY: as above.
        let told =
            call(|error| unsafe { self.0.device_open.unwrap()(pointer(config), out, error) });
        (told, Device::own(self, raw))
    }

    /// `device_mem_info`.
    pub fn device_mem_info(
        self,
        device: Option<&Device>,
        out: Option<&mut sam_mm_backend_mem_info>,
    ) -> Told {
        // SAFETY: as above.
        call(|error| unsafe {
            self.0.device_mem_info.unwrap()(raw(device), pointer_mut(out), error)
        })
    }

    /// `device_trim`.
    pub fn device_trim(self, device: Option<&Device>, freed: Option<&mut u64>) -> Told {
        // SAFETY: as above.
        call(|error| unsafe { self.0.device_trim.unwrap()(raw(device), pointer_mut(freed), error) })
    }

    /// `model_load`.
    pub fn model_load(
        self,
        device: Option<&Device>,
        checkpoint: Option<&sam_mm_backend_checkpoint>,
        operation: Option<&Operation>,
        place: bool,
    ) -> (Told, Option<Model>) {
        let mut model = ptr::null_mut();
        let out = if place {
            &raw mut model
        } else {
            ptr::null_mut()
        };
        let operation = host::pointer(operation);
        // SAFETY: as above.
        let told = call(|error| unsafe {
            self.0.model_load.unwrap()(raw(device), pointer(checkpoint), operation, out, error)
        });
        (told, Model::own(self, model))
    }

    /// `model_describe`.
    pub fn model_describe(
        self,
        model: Option<&Model>,
        out: Option<&mut sam_mm_backend_model_info>,
    ) -> Told {
        // SAFETY: as above.
        call(|error| unsafe { self.0.model_describe.unwrap()(raw(model), pointer_mut(out), error) })
    }

    /// `model_set_precision`.
    pub fn model_set_precision(self, model: Option<&Model>, precision: u32) -> Told {
        // SAFETY: as above.
        call(|error| unsafe {
            self.0.model_set_precision.unwrap()(raw(model), precision, ptr::null_mut(), error)
        })
    }

    /// `model_estimate`.
    pub fn model_estimate(
        self,
        model: Option<&Model>,
        plan: Option<&sam_mm_backend_plan>,
        out: Option<&mut sam_mm_backend_estimate>,
    ) -> Told {
        // SAFETY: as above.
        call(|error| unsafe {
            self.0.model_estimate.unwrap()(raw(model), pointer(plan), pointer_mut(out), error)
        })
    }

    /// `encode`.
    pub fn encode(
        self,
        model: Option<&Model>,
        pixels: Option<&sam_mm_backend_pixels>,
        plan: Option<&sam_mm_backend_plan>,
        operation: Option<&Operation>,
        place: bool,
    ) -> (Told, Option<Embedding>) {
        let mut embedding = ptr::null_mut();
        let out = if place {
            &raw mut embedding
        } else {
            ptr::null_mut()
        };
        let operation = host::pointer(operation);
        // SAFETY: as above.
        let told = call(|error| unsafe {
            self.0.encode.unwrap()(
                raw(model),
                pointer(pixels),
                pointer(plan),
                operation,
                out,
                error,
            )
        });
        (told, Embedding::own(self, embedding))
    }

    /// `decode`.
    pub fn decode(
        self,
        model: Option<&Model>,
        embedding: Option<&Embedding>,
        prompts: Option<&sam_mm_backend_prompts>,
        plan: Option<&sam_mm_backend_plan>,
        operation: Option<&Operation>,
        masks: Option<&sam_mm_backend_masks>,
    ) -> Told {
        let operation = host::pointer(operation);
        // SAFETY: as above.
        call(|error| unsafe {
            self.0.decode.unwrap()(
                raw(model),
                raw(embedding),
                pointer(prompts),
                pointer(plan),
                operation,
                pointer(masks),
                error,
            )
        })
    }

    /// `embedding_bytes`.
    pub fn embedding_bytes(self, embedding: Option<&Embedding>) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.embedding_bytes.unwrap()(raw(embedding)) }
    }

    /// `embedding_export`.
    pub fn embedding_export(
        self,
        embedding: Option<&Embedding>,
        buffer: Option<&mut [u8]>,
        required: Option<&mut u64>,
    ) -> Told {
        let (buffer, capacity) = buffer.map_or((ptr::null_mut(), 0), |buffer| {
            (buffer.as_mut_ptr(), buffer.len())
        });
        // SAFETY: as above.
        call(|error| unsafe {
            self.0.embedding_export.unwrap()(
                raw(embedding),
                buffer,
                capacity as u64,
                pointer_mut(required),
                error,
            )
        })
    }

    /// The extension for half precision, where the plugin has it.
    pub fn half(self) -> Option<&'static sam_mm_backend_embedding_half> {
        let id = CString::new(SAM_MM_BACKEND_EMBEDDING_HALF).ok()?;
        // SAFETY: the plugin's function with a NUL-terminated text; under this name it gives such a table for ever.
        unsafe {
            let table = self.0.get_extension?(id.as_ptr());
            table.cast::<sam_mm_backend_embedding_half>().as_ref()
        }
    }

    /// `embedding_export_half`.
    pub fn embedding_export_half(
        half: &sam_mm_backend_embedding_half,
        embedding: Option<&Embedding>,
        buffer: Option<&mut [u8]>,
        written: Option<&mut u64>,
    ) -> Told {
        let (buffer, capacity) = buffer.map_or((ptr::null_mut(), 0), |buffer| {
            (buffer.as_mut_ptr(), buffer.len())
        });
        // SAFETY: as above.
        call(|error| unsafe {
            half.embedding_export_half.unwrap()(
                raw(embedding),
                buffer,
                capacity as u64,
                pointer_mut(written),
                error,
            )
        })
    }

    /// `embedding_import`.
    pub fn embedding_import(
        self,
        model: Option<&Model>,
        bytes: Option<&[u8]>,
        operation: Option<&Operation>,
        place: bool,
    ) -> (Told, Option<Embedding>) {
        let mut embedding = ptr::null_mut();
        let out = if place {
            &raw mut embedding
        } else {
            ptr::null_mut()
        };
        let (bytes, len) = bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
        let operation = host::pointer(operation);
        // SAFETY: as above.
        let told = call(|error| unsafe {
            self.0.embedding_import.unwrap()(raw(model), bytes, len as u64, operation, out, error)
        });
        (told, Embedding::own(self, embedding))
    }

    /// Calls every function that frees, with NULL.
    pub fn free_nothing(self) {
        // SAFETY: NULL is allowed.
        unsafe {
            self.0.embedding_free.unwrap()(ptr::null_mut());
            self.0.model_free.unwrap()(ptr::null_mut());
            self.0.device_close.unwrap()(ptr::null_mut());
        }
    }

    /// Opens a device that does not exist, without a place for the error.
    pub fn open_without_error(self, config: &sam_mm_backend_device_config) -> i32 {
        let mut device = ptr::null_mut();
        // SAFETY: as above; NULL is allowed for the error.
        unsafe { self.0.device_open.unwrap()(config, &raw mut device, ptr::null_mut()) }
    }
}

/// # Safety
/// `text` is NULL or NUL-terminated.
pub unsafe fn read_c_text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .ok()
        .map(str::to_owned)
}

/// The texts of a description.
pub fn description_texts(info: &sam_mm_backend_model_info) -> [Option<String>; 2] {
    // SAFETY: NULL or NUL-terminated while the model lives, by the ABI.
    [info.family, info.variant].map(|text| unsafe { read_c_text(text) })
}

/// Something a plugin gave out, freed when dropped.
pub trait Owned {
    /// Its opaque type.
    type Opaque;
    /// Its pointer.
    fn raw(&self) -> *mut Self::Opaque;
}

fn raw<T: Owned>(object: Option<&T>) -> *mut T::Opaque {
    object.map_or(ptr::null_mut(), Owned::raw)
}

macro_rules! owned {
    ($($(#[$doc:meta])* $name:ident $opaque:ident $free:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name {
            table: Table,
            raw: *mut $opaque,
        }

        // SAFETY: by the ABI every function may be called from any thread.
        unsafe impl Send for $name {}
        // SAFETY: as above; the suite keeps to the rule of one call on a model at a time.
        unsafe impl Sync for $name {}

        impl $name {
            fn own(table: Table, raw: *mut $opaque) -> Option<Self> {
                (!raw.is_null()).then_some(Self { table, raw })
            }
        }

        impl Owned for $name {
            type Opaque = $opaque;
            fn raw(&self) -> *mut $opaque {
                self.raw
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the plugin gave it, and nobody uses it afterwards.
                unsafe { self.table.0.$free.unwrap()(self.raw) }
            }
        }
    )*};
}

owned! {
    /// An open device.
    Device sam_mm_backend_device device_close;
    /// A loaded model.
    Model sam_mm_backend_model model_free;
    /// An embedding.
    Embedding sam_mm_backend_embedding embedding_free;
}
