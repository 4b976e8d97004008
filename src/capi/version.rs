//! Versions.

use std::ffi::c_char;

/// Version of this header's API as a number: `major * 1000000 + minor * 1000 + patch`.
pub const SAM_MM_VERSION: u32 = 1_000;

/// Version of the C ABI. It changes only when a program compiled against an older header can no longer run, and with
/// it the shared library's soname.
pub const SAM_MM_ABI_VERSION: u32 = 0;

/// The version of the loaded library as text, such as `"0.1.0"`. Never NULL, never freed. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The C ABI version of the loaded library; compare it with `SAM_MM_ABI_VERSION` of the header. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_abi_version() -> u32 {
    SAM_MM_ABI_VERSION
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_number_is_that_of_the_package() {
        let part = |text: &str| text.parse::<u32>().unwrap();
        let number = part(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
            + part(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
            + part(env!("CARGO_PKG_VERSION_PATCH"));
        assert_eq!(super::SAM_MM_VERSION, number);
    }
}
