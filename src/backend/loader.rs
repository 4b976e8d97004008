//! Loads plugins: each file once per process, never unloaded.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;
use sam_mm_backend_abi::abi::{
    QUERY_SYMBOL, SAM_MM_BACKEND_ABI_MAJOR, SAM_MM_BACKEND_ABI_MINOR, SAM_MM_BACKEND_ABI_VERSION,
    sam_mm_backend, sam_mm_backend_query_fn,
};
use sam_mm_backend_abi::layout::{self, AbiStruct, zeroed};
use sam_mm_backend_abi::types::{DeviceName, Probe};
use sam_mm_backend_abi::{abi, error};
use thiserror::Error;

use super::call::call;
use super::error::BackendError;
use super::host::HOST;
use super::libtorch::{self, Conflict, Settings};

/// A loaded plugin: its table, checked.
pub struct Plugin {
    path: PathBuf,
    name: String,
    version: String,
    table: sam_mm_backend,
}

// SAFETY: the functions of the table are safe against any thread by the ABI, and its pointers refer to memory of the
// plugin that is never written to nor unloaded.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} from {}",
            self.name,
            self.version,
            self.path.display()
        )
    }
}

/// Why a file could not be loaded as a plugin.
#[derive(Clone, Debug, Error)]
pub enum LoadError {
    /// Another version of what it needs is in the process.
    #[error(transparent)]
    Conflict(#[from] Box<Conflict>),
    /// Everything else.
    #[error("{0}")]
    Unusable(String),
}

impl LoadError {
    fn unusable(reason: impl Into<String>) -> Self {
        Self::Unusable(reason.into())
    }
}

/// The plugins of this process by their resolved path.
static LOADED: Mutex<Vec<(PathBuf, Arc<Plugin>)>> = Mutex::new(Vec::new());

impl Plugin {
    /// Loads the plugin in a file, or finds it loaded. A failure is not remembered: what was missing may be installed
    /// while the process runs.
    ///
    /// # Errors
    /// [`LoadError`] with the reason.
    pub fn load(path: &Path, settings: &Settings) -> Result<Arc<Self>, LoadError> {
        let resolved = path
            .canonicalize()
            .map_err(|error| LoadError::unusable(format!("cannot be opened: {error}")))?;
        if !resolved.is_file() {
            return Err(LoadError::unusable("is not a file"));
        }
        // Held throughout: two threads must not load one file, nor judge the libraries of the process, at once.
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plugin)) = loaded.iter().find(|(path, _)| *path == resolved) {
            return Ok(Arc::clone(plugin));
        }
        libtorch::prepare(path, settings)?;
        // SAFETY: running the initialisers of a library that the user chose to place where plugins are looked for is
        // what loading a plugin means; the file's own code is trusted from here on.
        let library =
            unsafe { open(path) }.map_err(|error| LoadError::unusable(describe(&error)))?;
        let plugin = Arc::new(Self::from_library(library, path)?);
        loaded.push((resolved, Arc::clone(&plugin)));
        Ok(plugin)
    }

    fn from_library(library: Library, path: &Path) -> Result<Self, LoadError> {
        // SAFETY: the symbol, where there is one, has this type by the ABI.
        let query =
            unsafe { library.get::<sam_mm_backend_query_fn>(QUERY_SYMBOL) }.map(|symbol| *symbol);
        // Unloading code that has threads or registered itself somewhere crashes later, so it is never done.
        std::mem::forget(library);
        let query = query.map_err(|_| {
            LoadError::unusable(format!(
                "is not a backend plugin: it does not export {}",
                QUERY_SYMBOL.to_string_lossy()
            ))
        })?;
        // SAFETY: the plugin's function, of the type of the ABI.
        unsafe { Self::from_query(query, path) }
    }

    /// A plugin that is linked into the program. `name` stands for the path in messages.
    ///
    /// # Errors
    /// [`LoadError`] when the two versions do not go together or the table is not whole.
    ///
    /// # Safety
    /// `query` is a function that keeps the contract of `include/sam_mm_backend.h`.
    pub unsafe fn from_query(
        query: sam_mm_backend_query_fn,
        name: &Path,
    ) -> Result<Self, LoadError> {
        let mut found: *const sam_mm_backend = std::ptr::null();
        // SAFETY: the arguments are what the ABI asks for; the host's table is static.
        call(|error| unsafe {
            query(
                SAM_MM_BACKEND_ABI_VERSION,
                &raw const HOST,
                &raw mut found,
                error,
            )
        })
        .map_err(|error| {
            LoadError::unusable(format!("refuses to work with this library: {error}"))
        })?;
        // SAFETY: NULL or the plugin's static table.
        let table = unsafe { layout::read(found, "its table") }
            .map_err(|error| LoadError::unusable(format!("has a defect: {}", error.message)))?;
        check_version(&table)?;
        check_functions(&table)?;
        // SAFETY: texts of the table are NUL-terminated and static by the ABI.
        let (name_text, version) =
            unsafe { (text(table.name, "name")?, text(table.version, "version")?) };
        Ok(Self {
            path: name.to_owned(),
            name: name_text,
            version,
            table,
        })
    }

    /// Short name, such as `torch`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version of the plugin and of what it stands on, such as `0.1.0 (libtorch 2.11.0)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether and how well the backend can run on a device.
    ///
    /// # Errors
    /// When the plugin cannot find out.
    pub fn probe(&self, device: DeviceName) -> Result<Probe, BackendError> {
        let name = c_string(&device.to_string());
        let mut found: abi::sam_mm_backend_probe = zeroed();
        let probe = required(self.table.probe);
        // SAFETY: the plugin's function with arguments as the ABI asks for.
        call(|error| unsafe { probe(name.as_ptr(), &raw mut found, error) })?;
        Ok(Probe {
            score: found.score,
            reason: error::read_text(&found.reason).into_owned(),
        })
    }

    /// A table of further functions by name and revision (`"name/rev"`); valid until the process ends.
    pub fn extension(&self, id: &CStr) -> Option<*const c_void> {
        // SAFETY: the plugin's function with a NUL-terminated text.
        let found = unsafe { self.table.get_extension?(id.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// The functions, each of the required ones present.
    pub fn table(&self) -> &sam_mm_backend {
        &self.table
    }
}

/// A function that [`check_functions`] saw.
pub(super) fn required<F>(function: Option<F>) -> F {
    function.expect("required functions are checked when a plugin is loaded")
}

/// Text of ours as C wants it.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// Opens a library so that missing symbols are found now and its symbols serve nobody else.
///
/// # Safety
/// The initialisers of the library run.
#[cfg(unix)]
pub(crate) unsafe fn open(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library as UnixLibrary, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: passed on to the caller.
    unsafe {
        UnixLibrary::open(Some(path), RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE)
            .map(Library::from)
    }
}

/// Opens a library together with what lies beside it.
///
/// # Safety
/// The initialisers of the library run.
#[cfg(windows)]
pub(crate) unsafe fn open(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::windows::{
        LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR,
        Library as WindowsLibrary,
    };
    let flags = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS;
    // SAFETY: passed on to the caller.
    unsafe { WindowsLibrary::load_with_flags(path, flags).map(Library::from) }
}

/// What the system's loader said, which `libloading` keeps as the cause.
pub(crate) fn describe(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("cannot be loaded: {cause}"),
        None => format!("cannot be loaded: {error}"),
    }
}

fn check_version(table: &sam_mm_backend) -> Result<(), LoadError> {
    let (major, minor) = (table.abi_version >> 16, table.abi_version & 0xffff);
    if major == SAM_MM_BACKEND_ABI_MAJOR {
        return Ok(());
    }
    Err(LoadError::unusable(format!(
        "is made for version {major}.{minor} of the plugin ABI; this library speaks \
         {SAM_MM_BACKEND_ABI_MAJOR}.{SAM_MM_BACKEND_ABI_MINOR}, so a plugin of its own version is needed"
    )))
}

fn check_functions(table: &sam_mm_backend) -> Result<(), LoadError> {
    macro_rules! missing {
        ($($function:ident)*) => { [$((stringify!($function), table.$function.is_none())),*] };
    }
    let missing = missing! {
        probe device_open device_close device_mem_info device_trim model_load model_free model_describe
        model_set_precision model_estimate encode decode embedding_free embedding_bytes embedding_export
        embedding_import
    };
    let names: Vec<_> = missing
        .iter()
        .filter(|(_, missing)| *missing)
        .map(|(name, _)| *name)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(LoadError::unusable(format!(
        "has a defect: its {} lacks {}",
        sam_mm_backend::NAME,
        names.join(", ")
    )))
}

/// # Safety
/// `text` is NULL or NUL-terminated.
unsafe fn text(text: *const c_char, name: &str) -> Result<String, LoadError> {
    if text.is_null() {
        return Err(LoadError::unusable(format!(
            "has a defect: its {name} is NULL"
        )));
    }
    // SAFETY: as promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    match text.to_str() {
        Ok(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(LoadError::unusable(format!(
            "has a defect: its {name} is {text:?}, which is empty or not UTF-8"
        ))),
    }
}

/// The file that holds this very code: the shared library, or the program it is linked into.
#[cfg(unix)]
pub(super) fn own_library() -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address: *const c_void = (own_library as fn() -> Option<PathBuf>) as *const c_void;
    // SAFETY: `info` is writable; on success the name is NUL-terminated and lives as long as the library, which holds
    // the code that runs now.
    let path = unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        let name = info.assume_init().dli_fname;
        (!name.is_null()).then(|| PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes())))
    };
    // For the main program some systems give the name it was started by.
    path.filter(|path| path.is_absolute())
        .or_else(|| std::env::current_exe().ok())
}

/// The file that holds this very code: the shared library, or the program it is linked into.
#[cfg(windows)]
pub(super) fn own_library() -> Option<PathBuf> {
    let address = own_library as fn() -> Option<PathBuf>;
    libtorch::windows::module_of_address(address as *const c_void)
}
