//! The macro that exports a backend.

/// `text` with a closing NUL, for a constant; `N` is its length plus one.
///
/// # Panics
/// At compile time, when the text holds a NUL or is of another length.
pub const fn nul_terminated<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(
        bytes.len() + 1 == N,
        "the length must be that of the text plus one"
    );
    let mut out = [0; N];
    let mut index = 0;
    while index < bytes.len() {
        assert!(bytes[index] != 0, "the text must not contain NUL");
        out[index] = bytes[index];
        index += 1;
    }
    out
}

/// Exports a [`Backend`](crate::sdk::Backend) as the plugin's `sam_mm_backend_query`.
///
/// ```text
/// sam_mm_backend_abi::export_backend!(MyBackend);
/// // Tied to a version of a shared library that must not be in the process twice:
/// sam_mm_backend_abi::export_backend!(MyBackend, requires = "libtorch=2.11.0");
/// ```
///
/// The crate must be compiled with `panic = "unwind"`: an abort would take the host's process with it.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty $(, requires = $requires:literal)? $(,)?) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!("a backend plugin must be compiled with panic = \"unwind\"");

        /// Entry point of the plugin.
        ///
        /// # Safety
        /// As `include/sam_mm_backend.h` says: each pointer is NULL or valid, and `host` stays so until the process
        /// ends.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn sam_mm_backend_query(
            host_abi: u32,
            host: *const $crate::abi::sam_mm_host,
            out: *mut *const $crate::abi::sam_mm_backend,
            error: *mut $crate::abi::sam_mm_backend_error,
        ) -> i32 {
            use $crate::sdk::Backend as _;
            const NAME_LEN: usize = <$backend>::NAME.len() + 1;
            const VERSION_LEN: usize = <$backend>::VERSION.len() + 1;
            static NAME: [u8; NAME_LEN] = $crate::sdk::nul_terminated(<$backend>::NAME);
            static VERSION: [u8; VERSION_LEN] = $crate::sdk::nul_terminated(<$backend>::VERSION);
            static TABLE: $crate::sdk::Table = $crate::sdk::table::<$backend>(&NAME, &VERSION);
            $(
                // Read by the host from the file; used here so that no linker leaves it out.
                static REQUIRES: &str = ::core::concat!("sam-mm-backend-requires:", $requires, ";");
                ::core::hint::black_box(&REQUIRES);
            )?
            // SAFETY: the caller keeps to the contract above.
            unsafe { $crate::sdk::query(&TABLE, host_abi, host, out, error) }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_writes_the_marker_that_the_host_reads() {
        // A constant cannot be named inside `concat!`, so the macro repeats it.
        assert_eq!(
            crate::abi::SAM_MM_BACKEND_REQUIRES_MARKER,
            "sam-mm-backend-requires:"
        );
    }
}
