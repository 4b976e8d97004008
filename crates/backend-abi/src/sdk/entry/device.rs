//! Devices.

use core::ffi::c_char;
use std::sync::Arc;

use super::{DeviceOf, entry, output, silent, text};
use crate::abi::*;
use crate::error::write_text;
use crate::layout::{self, zeroed};
use crate::sdk::{Backend, Device, handle};
use crate::types::{DeviceConfig, DeviceName};

pub(super) unsafe extern "C" fn probe<B: Backend>(
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

pub(super) unsafe extern "C" fn device_open<B: Backend>(
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

pub(super) unsafe extern "C" fn device_close<B: Backend>(device: *mut sam_mm_backend_device) {
    // SAFETY: the host keeps to the ABI.
    silent((), || unsafe {
        handle::take::<DeviceOf<B>, _>(device).map(drop)
    });
}

pub(super) unsafe extern "C" fn device_mem_info<B: Backend>(
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

pub(super) unsafe extern "C" fn device_trim<B: Backend>(
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
