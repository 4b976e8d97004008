//! The modules of a Windows process.

use std::ffi::{OsString, c_void};
use std::iter;
use std::os::windows::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;

type Module = *mut c_void;

const GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT: u32 = 2;
const GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS: u32 = 4;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleW(name: *const u16) -> Module;
    fn GetModuleHandleExW(flags: u32, address: *const u16, module: *mut Module) -> i32;
    fn GetModuleFileNameW(module: Module, buffer: *mut u16, size: u32) -> u32;
}

/// The file of a module that is loaded under this name.
pub(in crate::backend) fn loaded_module(name: &str) -> Option<PathBuf> {
    let wide: Vec<u16> = name.encode_utf16().chain(iter::once(0)).collect();
    // SAFETY: the name is NUL-terminated; the module stays loaded as far as we are concerned, since only its path is
    // asked for.
    let module = unsafe { GetModuleHandleW(wide.as_ptr()) };
    if module.is_null() {
        None
    } else {
        file_of(module)
    }
}

/// The file of the module that an address lies in.
pub(in crate::backend) fn module_of_address(address: *const c_void) -> Option<PathBuf> {
    let mut module: Module = ptr::null_mut();
    let flags =
        GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
    // SAFETY: with this flag the second argument is any address; `module` is writable.
    let found = unsafe { GetModuleHandleExW(flags, address.cast(), &raw mut module) };
    if found == 0 { None } else { file_of(module) }
}

fn file_of(module: Module) -> Option<PathBuf> {
    const LONGEST_PATH: u32 = 32_768;
    let mut buffer = vec![0u16; LONGEST_PATH as usize];
    // SAFETY: the buffer has room for as many units as are named.
    let length = unsafe { GetModuleFileNameW(module, buffer.as_mut_ptr(), LONGEST_PATH) };
    (length > 0 && length < LONGEST_PATH)
        .then(|| OsString::from_wide(&buffer[..length as usize]).into())
}
