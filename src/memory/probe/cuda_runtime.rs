//! The CUDA runtime: which GPU an ordinal is, and how much of it is free.
//!
//! Opened at run time, the one that the process already uses before any other. Our own few symbols through `libloading`:
//! `cudarc` takes no path, keeps the first library it finds for ever and panics where there is none.
//!
//! Asking who a device is starts the driver, but no CUDA context. Asking for its memory makes this process's context on
//! that device where there is none, which takes hundreds of megabytes: only ask of a device that the backend runs on.

use std::ffi::{CStr, c_char, c_int};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread;

use libloading::Library;

use super::figures::DeviceFigures;
use super::visible_devices::{CudaIdentity, PciBusId};
use crate::backend::{libtorch, loader};

type Status = c_int;
const SUCCESS: Status = 0;

/// The head of `cudaDeviceProp`, which is the same in all versions, and room for the rest (about 1 KiB today).
#[repr(C, align(16))]
struct DeviceProperties {
    name: [c_char; 256],
    uuid: [u8; 16],
    rest: [u8; 8192],
}

/// The functions of a loaded runtime.
#[derive(Clone, Copy)]
pub(super) struct CudaRuntime {
    get_device: unsafe extern "system" fn(*mut c_int) -> Status,
    set_device: unsafe extern "system" fn(c_int) -> Status,
    mem_get_info: unsafe extern "system" fn(*mut usize, *mut usize) -> Status,
    get_last_error: unsafe extern "system" fn() -> Status,
    get_error_string: unsafe extern "system" fn(Status) -> *const c_char,
    get_pci_bus_id: unsafe extern "system" fn(*mut c_char, c_int, c_int) -> Status,
    get_properties: Option<unsafe extern "system" fn(*mut DeviceProperties, c_int) -> Status>,
}

impl CudaRuntime {
    /// Loads the runtime from `library`, or the one in the process, or the newest that the system's loader finds.
    pub(super) fn open(library: Option<&Path>) -> Result<Self, String> {
        let candidates = match library {
            Some(library) => vec![library.to_owned()],
            None => in_process().into_iter().chain(names()).collect(),
        };
        let mut reasons = Vec::new();
        for candidate in candidates {
            // SAFETY: NVIDIA's library, or the one that the caller named; its initialisers touch no device.
            match unsafe { open_library(&candidate) } {
                Ok(library) => return Self::from_library(library, &candidate),
                Err(error) => reasons.push(format!(
                    "{} {}",
                    candidate.display(),
                    loader::describe(&error)
                )),
            }
        }
        Err(format!(
            "the CUDA runtime cannot be loaded: {}",
            reasons.join("; ")
        ))
    }

    fn from_library(library: Library, path: &Path) -> Result<Self, String> {
        // Never unloaded: a runtime that the backend shares must stay, and unloading any is known to crash.
        let library: &'static Library = Box::leak(Box::new(library));
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: a function of the runtime's C API, whose type has not changed since CUDA 10.
                unsafe { library.get($name) }.map(|symbol| *symbol)
            };
        }
        let missing =
            |error: libloading::Error| format!("{} is no CUDA runtime: {error}", path.display());
        Ok(Self {
            get_device: symbol!(c"cudaGetDevice").map_err(missing)?,
            set_device: symbol!(c"cudaSetDevice").map_err(missing)?,
            mem_get_info: symbol!(c"cudaMemGetInfo").map_err(missing)?,
            get_last_error: symbol!(c"cudaGetLastError").map_err(missing)?,
            get_error_string: symbol!(c"cudaGetErrorString").map_err(missing)?,
            get_pci_bus_id: symbol!(c"cudaDeviceGetPCIBusId").map_err(missing)?,
            // CUDA 12 has the struct of today under the second name; other versions under the first alone.
            get_properties: symbol!(c"cudaGetDeviceProperties_v2")
                .or_else(|_| symbol!(c"cudaGetDeviceProperties"))
                .ok(),
        })
    }

    /// Who the device is. Makes no context.
    pub(super) fn identity(&self, ordinal: u32) -> Result<CudaIdentity, String> {
        let device = number(ordinal)?;
        let mut text = [0 as c_char; 64];
        // SAFETY: the buffer has the length that is told.
        let status =
            unsafe { (self.get_pci_bus_id)(text.as_mut_ptr(), text.len() as c_int, device) };
        self.check("cudaDeviceGetPCIBusId", status)?;
        let (name, uuid) = self.properties(device);
        Ok(CudaIdentity {
            bus_id: PciBusId::parse(&text_of(&text)),
            uuid,
            name,
        })
    }

    /// Name and digits of the UUID; MIG instances have one of their own.
    fn properties(&self, device: c_int) -> (Option<String>, Option<String>) {
        let Some(get_properties) = self.get_properties else {
            return (None, None);
        };
        let mut properties = Box::new(DeviceProperties {
            name: [0; 256],
            uuid: [0; 16],
            rest: [0; 8192],
        });
        // SAFETY: a place of more bytes than the struct has in any version.
        let status = unsafe { get_properties(&raw mut *properties, device) };
        if self.check("cudaGetDeviceProperties", status).is_err() {
            return (None, None);
        }
        let name = Some(text_of(&properties.name)).filter(|name| !name.is_empty());
        let uuid = properties.uuid;
        (
            name,
            uuid.iter().any(|&byte| byte != 0).then(|| digits(&uuid)),
        )
    }

    /// The memory of the device, in this process's context there.
    pub(super) fn figures(&self, ordinal: u32) -> Result<DeviceFigures, String> {
        let device = number(ordinal)?;
        let mut current: c_int = -1;
        // SAFETY: a writable place.
        let status = unsafe { (self.get_device)(&raw mut current) };
        self.check("cudaGetDevice", status)?;
        if current == device {
            return self.figures_of_current();
        }
        // Choosing a device is for a whole thread, and choosing the former one again would make a context there; so a
        // thread that ends does it.
        thread::scope(|scope| {
            let other = thread::Builder::new().spawn_scoped(scope, || {
                // SAFETY: any number may be given.
                let status = unsafe { (self.set_device)(device) };
                self.check("cudaSetDevice", status)?;
                self.figures_of_current()
            });
            match other.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(figures)) => figures,
                Ok(Err(_)) => Err("asking the CUDA runtime panicked".to_owned()),
                Err(error) => Err(format!("no thread to ask the CUDA runtime: {error}")),
            }
        })
    }

    fn figures_of_current(&self) -> Result<DeviceFigures, String> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: two writable places.
        let status = unsafe { (self.mem_get_info)(&raw mut free, &raw mut total) };
        self.check("cudaMemGetInfo", status)?;
        DeviceFigures::from_free(total as u64, free as u64)
    }

    fn check(&self, function: &str, status: Status) -> Result<(), String> {
        if status == SUCCESS {
            return Ok(());
        }
        // SAFETY: takes nothing. Else the next to ask on this thread, perhaps the backend, would be told our error.
        unsafe { (self.get_last_error)() };
        // SAFETY: any status may be given; the text is NULL or a constant.
        let words = unsafe {
            let words = (self.get_error_string)(status);
            (!words.is_null()).then(|| CStr::from_ptr(words).to_string_lossy())
        };
        let words = words.as_deref().unwrap_or("unknown error");
        Err(format!("{function}: {words} ({status})"))
    }
}

/// The runtimes that the process has loaded, which its backend uses. libtorch brings one whose file name has a hash.
fn in_process() -> Vec<PathBuf> {
    let names = names();
    let stems: Vec<&str> = names
        .iter()
        .filter_map(|name| name.file_stem()?.to_str())
        .collect();
    let is_runtime = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| {
            ["libcudart.so", "libcudart-", "cudart64_"]
                .iter()
                .any(|start| name.starts_with(start))
        })
    };
    let mut found: Vec<PathBuf> = libtorch::loaded_libraries(&stems)
        .into_iter()
        .filter(is_runtime)
        .collect();
    found.dedup();
    found
}

/// Names that the system's loader may know, the newest first.
fn names() -> Vec<PathBuf> {
    let names: &[&str] = if cfg!(windows) {
        &["cudart64_13.dll", "cudart64_12.dll", "cudart64_110.dll"]
    } else {
        &[
            "libcudart.so.13",
            "libcudart.so.12",
            "libcudart.so.11.0",
            "libcudart.so",
        ]
    };
    names.iter().map(PathBuf::from).collect()
}

/// Opens a library by its path or by a name that the loader knows, never from the working directory.
///
/// # Safety
/// The initialisers of the library run.
unsafe fn open_library(path: &Path) -> Result<Library, libloading::Error> {
    #[cfg(windows)]
    if path.is_relative() {
        use libloading::os::windows::{
            LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, Library as WindowsLibrary,
        };
        // SAFETY: passed on to the caller.
        return unsafe {
            WindowsLibrary::load_with_flags(path, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS)
                .map(Library::from)
        };
    }
    // SAFETY: passed on to the caller.
    unsafe { loader::open(path) }
}

fn number(ordinal: u32) -> Result<c_int, String> {
    c_int::try_from(ordinal).map_err(|_| format!("{ordinal} is no CUDA device"))
}

fn text_of(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().map(|&byte| byte as u8).collect();
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// `8-4-4-4-12` hexadecimal digits, as NVML writes a UUID after its prefix.
fn digits(uuid: &[u8; 16]) -> String {
    let mut text = String::new();
    for (position, byte) in uuid.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_nvml_writes_it() {
        let uuid = std::array::from_fn(|position| position as u8 * 0x11);
        assert_eq!(digits(&uuid), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
