//! Devices: probing, opening, memory.

use std::ffi::CStr;

use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::error::read_text;
use sam_mm_backend_abi::layout::zeroed;

use super::{Finding, Kept, checks, ensure};
use crate::subject::Subject;

checks! { "device":
    "probing answers for any device, with a reason when it cannot be used" => probe,
    "probing refuses what is no device" => probe_nonsense,
    "the device under test has a score above zero" => usable,
    "opening a device that does not exist is refused, in words" => absent,
    "opening with arguments that cannot be is refused" => open_nonsense,
    "memory figures agree with each other" => figures,
    "trimming gives back no more than was kept, and touches nothing in use" => trim,
    "a device that is NULL is refused, and may be closed" => null_device,
}

/// No machine has so many.
const ABSENT: &CStr = c"cuda:999";

fn probe(subject: &Subject) -> Finding {
    for device in [c"cpu", c"cuda:0", ABSENT] {
        let mut out: sam_mm_backend_probe = zeroed();
        subject
            .table
            .probe(Some(device), Some(&mut out))
            .succeeded(&format!("probe of {device:?}"))?;
        let reason = read_text(&out.reason);
        ensure!(
            out.score > 0 || !reason.trim().is_empty(),
            "{device:?} has score 0 without a reason"
        );
        ensure!(
            device != ABSENT || out.score == 0,
            "{device:?} has score {}, and cannot exist",
            out.score
        );
    }
    Ok(Kept::Yes)
}

fn probe_nonsense(subject: &Subject) -> Finding {
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let mut out: sam_mm_backend_probe = zeroed();
    subject
        .table
        .probe(None, Some(&mut out))
        .refused("a device name that is NULL", &refused)?;
    subject
        .table
        .probe(Some(c"cpu"), None)
        .refused("a place that is NULL", &refused)?;
    out.struct_size = 4;
    subject
        .table
        .probe(Some(c"cpu"), Some(&mut out))
        .refused("a place of 4 bytes", &refused)?;
    for name in [c"", c"gpu", c"cuda:", c"cuda:-1", c"cuda:0x", c"cpu "] {
        let mut out: sam_mm_backend_probe = zeroed();
        let told = subject.table.probe(Some(name), Some(&mut out));
        // Score 0 with a reason says the same.
        if told.code == SAM_MM_OK {
            let reason = read_text(&out.reason);
            ensure!(
                out.score == 0 && !reason.is_empty(),
                "{name:?} has score {} and reason {reason:?}",
                out.score
            );
        } else {
            told.refused(&format!("the device name {name:?}"), &refused)?;
        }
    }
    Ok(Kept::Yes)
}

fn usable(subject: &Subject) -> Finding {
    let mut out: sam_mm_backend_probe = zeroed();
    subject
        .table
        .probe(Some(&subject.device_name), Some(&mut out))
        .succeeded("probe")?;
    ensure!(
        out.score > 0,
        "the device opens, but its score is 0: {}",
        read_text(&out.reason)
    );
    Ok(Kept::Yes)
}

fn absent(subject: &Subject) -> Finding {
    let config = sam_mm_backend_device_config {
        device: ABSENT.as_ptr(),
        ..zeroed()
    };
    let codes = [SAM_MM_ERR_DEVICE_UNAVAILABLE];
    let (told, device) = subject.table.device_open(Some(&config), true);
    told.refused("opening cuda:999", &codes)?;
    ensure!(
        device.is_none(),
        "a device was given along with the refusal"
    );
    let code = subject.table.open_without_error(&config);
    ensure!(
        codes.contains(&code),
        "without a place for words the refusal was {code}"
    );
    Ok(Kept::Yes)
}

fn open_nonsense(subject: &Subject) -> Finding {
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let good = subject.device_config();
    let nameless: sam_mm_backend_device_config = zeroed();
    let short = sam_mm_backend_device_config {
        struct_size: 8,
        ..*subject.device_config()
    };
    let gpu = sam_mm_backend_device_config {
        device: c"gpu".as_ptr(),
        ..zeroed()
    };
    let open = |config: Option<&sam_mm_backend_device_config>, place| {
        subject.table.device_open(config, place).0
    };
    open(None, true).refused("options that are NULL", &refused)?;
    open(Some(&good), false).refused("a place that is NULL", &refused)?;
    open(Some(&nameless), true).refused("a device name that is NULL", &refused)?;
    open(Some(&short), true).refused("options of 8 bytes", &refused)?;
    open(Some(&gpu), true).refused(
        "the device \"gpu\"",
        &[SAM_MM_ERR_INVALID_ARGUMENT, SAM_MM_ERR_DEVICE_UNAVAILABLE],
    )?;
    Ok(Kept::Yes)
}

fn figures(subject: &Subject) -> Finding {
    let figures = subject.mem_info()?;
    let known = |bit| figures.known & bit != 0;
    if known(SAM_MM_MEM_DEVICE) {
        ensure!(figures.total > 0, "the device has a total of 0 bytes");
        ensure!(
            figures.free <= figures.total,
            "{} bytes are free of {}",
            figures.free,
            figures.total
        );
    }
    if known(SAM_MM_MEM_ALLOCATOR) {
        let (allocated, reserved) = (figures.allocated, figures.reserved);
        ensure!(
            allocated <= reserved,
            "{allocated} bytes are allocated of {reserved} reserved"
        );
    }
    if known(SAM_MM_MEM_PEAK) && known(SAM_MM_MEM_ALLOCATOR) {
        let (peak, allocated) = (figures.peak_allocated, figures.allocated);
        ensure!(
            peak >= allocated,
            "the peak is {peak} bytes with {allocated} allocated"
        );
    }
    let mut short = sam_mm_backend_mem_info {
        struct_size: 8,
        ..Default::default()
    };
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let table = subject.table;
    table
        .device_mem_info(Some(&subject.device), Some(&mut short))
        .refused("a place of 8 bytes", &refused)?;
    table
        .device_mem_info(Some(&subject.device), None)
        .refused("a place that is NULL", &refused)?;
    Ok(Kept::Yes)
}

fn trim(subject: &Subject) -> Finding {
    let before = subject.mem_info()?;
    let mut freed = u64::MAX;
    subject
        .table
        .device_trim(Some(&subject.device), Some(&mut freed))
        .succeeded("device_trim")?;
    ensure!(freed != u64::MAX, "the bytes given back were not written");
    subject
        .table
        .device_trim(Some(&subject.device), None)
        .refused("a place that is NULL", &[SAM_MM_ERR_INVALID_ARGUMENT])?;
    if before.known & SAM_MM_MEM_ALLOCATOR == 0 {
        return Ok(Kept::Yes);
    }
    let after = subject.mem_info()?;
    let kept = before.reserved - before.allocated;
    ensure!(
        freed <= kept,
        "{freed} bytes were given back, but {kept} kept"
    );
    ensure!(
        after.allocated == before.allocated,
        "trimming changed the allocated bytes from {} to {}",
        before.allocated,
        after.allocated
    );
    Ok(Kept::Yes)
}

fn null_device(subject: &Subject) -> Finding {
    let table = subject.table;
    let refused = [SAM_MM_ERR_INVALID_HANDLE];
    table
        .device_mem_info(None, Some(&mut zeroed()))
        .refused("device_mem_info of NULL", &refused)?;
    table
        .device_trim(None, Some(&mut 0))
        .refused("device_trim of NULL", &refused)?;
    let checkpoint = subject.checkpoint.wire();
    table
        .model_load(None, Some(&checkpoint), None, true)
        .0
        .refused("model_load onto NULL", &refused)?;
    table.free_nothing();
    Ok(Kept::Yes)
}
