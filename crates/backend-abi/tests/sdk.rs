//! What the SDK does for a backend: it catches panics, keeps parents alive, refuses handles of another kind, and
//! passes what the host offers on.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::error::read_text;
use sam_mm_backend_abi::layout::zeroed;
use sam_mm_backend_abi::sdk::{
    self, Backend, BackendError, Checkpoint, CheckpointSource, Device, DeviceConfig, DeviceName,
    Element, Embedding, Estimate, LogLevel, MasksMut, MemInfo, Model, ModelInfo, Operation, Pixels,
    Plan, Precision, Probe, Prompts, Resize, Result,
};

sam_mm_backend_abi::export_backend!(Scripted, requires = "libscript=1.2.3");

/// A backend that does what the checkpoint's name says, each time a function is called.
struct Scripted;
struct Stage;
struct Actor {
    line: String,
}
struct Prop;

/// Objects dropped, as D, M and E in their order.
static DROPPED: AtomicU32 = AtomicU32::new(0);

fn note_drop(letter: u8) {
    let _ = DROPPED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |all| {
        Some(all << 8 | u32::from(letter))
    });
}

impl Drop for Stage {
    fn drop(&mut self) {
        note_drop(b'D');
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        note_drop(b'M');
        assert!(self.line != "panic on leaving", "the actor will not leave");
    }
}

impl Drop for Prop {
    fn drop(&mut self) {
        note_drop(b'E');
    }
}

impl Backend for Scripted {
    type Device = Stage;
    const NAME: &'static str = "scripted";
    const VERSION: &'static str = "0";

    fn probe(device: DeviceName) -> Result<Probe> {
        assert!(device != DeviceName::Cuda(13), "number 13 brings bad luck");
        Ok(Probe {
            score: 1,
            reason: String::new(),
        })
    }

    fn open(_: &DeviceConfig) -> Result<Stage> {
        Ok(Stage)
    }
}

impl Device for Stage {
    type Model = Actor;

    fn mem_info(&self) -> Result<MemInfo> {
        Ok(MemInfo::default())
    }

    fn trim(&self) -> Result<u64> {
        sdk::log(LogLevel::Info, "sweeping the stage");
        Ok(0)
    }

    fn load_model(&self, checkpoint: &Checkpoint<'_>, _: &Operation<'_>) -> Result<Actor> {
        assert!(matches!(
            checkpoint.source,
            CheckpointSource::Bytes(b"weights")
        ));
        Ok(Actor {
            line: checkpoint.name.to_owned(),
        })
    }
}

impl Model for Actor {
    type Embedding = Prop;

    fn info(&self) -> ModelInfo {
        ModelInfo {
            family: "actor".into(),
            variant: "with a \0 in it".into(),
            resize: Resize::Stretch,
            input_size: if self.line == "impossible" { 3 } else { 4 },
            input_element: Element::F32,
            mask_size: 2,
            multimask_count: 1,
            parameters: 0,
            embedding_bytes: 1,
            weight_bytes: 0,
            precision_change_bytes: None,
        }
    }

    fn set_precision(&mut self, _: Precision, _: &Operation<'_>) -> Result<()> {
        Ok(())
    }

    fn estimate(&self, _: &Plan) -> Result<Estimate> {
        Ok(Estimate::default())
    }

    fn encode(&mut self, _: &Pixels<'_>, _: &Plan, operation: &Operation<'_>) -> Result<Prop> {
        match self.line.as_str() {
            "panic" => panic!("forgot line {}", 7),
            "recover" => {
                let mut left = 3;
                operation.with_recovery(100, || {
                    left -= 1;
                    if left > 0 {
                        Err(BackendError::out_of_memory("full", Some(60), None))
                    } else {
                        Ok(Prop)
                    }
                })
            }
            "other failure" => operation
                .with_recovery(100, || Err(BackendError::backend("not for lack of memory"))),
            "speak" => {
                operation.log(LogLevel::Warn, "line with \0 inside");
                let anywhere = operation.any_thread();
                std::thread::scope(|scope| {
                    scope.spawn(|| anywhere.check_cancelled()).join().unwrap()
                })?;
                Ok(Prop)
            }
            _ => Ok(Prop),
        }
    }

    fn decode(
        &mut self,
        _: &Prop,
        _: &Prompts<'_>,
        _: &Plan,
        _: &Operation<'_>,
        masks: &mut MasksMut<'_>,
    ) -> Result<()> {
        masks.logits.fill(1.0);
        *masks.score_mut(0, 0) = 1.0;
        Ok(())
    }

    fn import_embedding(&mut self, _: &[u8], _: &Operation<'_>) -> Result<Prop> {
        Ok(Prop)
    }
}

impl Embedding for Prop {
    fn device_bytes(&self) -> u64 {
        1
    }

    fn export_len(&self) -> usize {
        0
    }

    fn export(&self, _: &mut [u8]) -> Result<()> {
        Ok(())
    }
}

// ---- a host -----------------------------------------------------------------------------------------------------------

thread_local! {
    /// What the plugin said to the host on this thread.
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn said() -> Vec<String> {
    SAID.take()
}

unsafe extern "C" fn log(_: *mut sam_mm_operation, level: i32, message: *const c_char) {
    // SAFETY: NUL-terminated by the ABI.
    let message = unsafe { CStr::from_ptr(message) }
        .to_str()
        .unwrap()
        .to_owned();
    SAID.with_borrow_mut(|said| said.push(format!("log {level} {message}")));
}

/// The operation at this address is cancelled.
const CANCELLED: usize = 8;

unsafe extern "C" fn is_cancelled(operation: *mut sam_mm_operation) -> i32 {
    i32::from(operation.addr() == CANCELLED)
}

unsafe extern "C" fn before_allocate(_: *mut sam_mm_operation, bytes: u64) -> i32 {
    SAID.with_borrow_mut(|said| said.push(format!("before {bytes}")));
    0
}

unsafe extern "C" fn allocation_failed(_: *mut sam_mm_operation, bytes: u64, attempt: u32) -> i32 {
    SAID.with_borrow_mut(|said| said.push(format!("failed {bytes} {attempt}")));
    1
}

static HOST: sam_mm_host = sam_mm_host {
    struct_size: size_of::<sam_mm_host>() as u32,
    abi_version: SAM_MM_BACKEND_ABI_VERSION,
    log: Some(log),
    is_cancelled: Some(is_cancelled),
    before_allocate: Some(before_allocate),
    allocation_failed: Some(allocation_failed),
};

fn table() -> &'static sam_mm_backend {
    let mut table = ptr::null();
    // SAFETY: our own plugin, with arguments as the ABI asks for.
    let code = unsafe {
        sam_mm_backend_query(
            SAM_MM_BACKEND_ABI_VERSION,
            &raw const HOST,
            &raw mut table,
            ptr::null_mut(),
        )
    };
    assert_eq!(code, SAM_MM_OK);
    // SAFETY: the plugin's static table.
    unsafe { &*table }
}

/// A status and the words that came with it.
fn told(call: impl FnOnce(*mut sam_mm_backend_error) -> i32) -> (i32, String) {
    let mut error: sam_mm_backend_error = zeroed();
    let code = call(&raw mut error);
    (code, read_text(&error.message).into_owned())
}

fn open() -> *mut sam_mm_backend_device {
    let config = sam_mm_backend_device_config {
        device: c"cpu".as_ptr(),
        ..zeroed()
    };
    let mut device = ptr::null_mut();
    // SAFETY: arguments as the ABI asks for; so for all calls below.
    let told = told(|error| unsafe {
        table().device_open.unwrap()(&raw const config, &raw mut device, error)
    });
    assert_eq!(told, (SAM_MM_OK, String::new()));
    device
}

fn load(
    device: *mut sam_mm_backend_device,
    line: &CStr,
) -> (i32, String, *mut sam_mm_backend_model) {
    let checkpoint = sam_mm_backend_checkpoint {
        data: b"weights".as_ptr(),
        data_len: 7,
        name: line.as_ptr(),
        ..zeroed()
    };
    let mut model = ptr::null_mut();
    // SAFETY: as above.
    let (code, words) = told(|error| unsafe {
        table().model_load.unwrap()(
            device,
            &raw const checkpoint,
            ptr::null_mut(),
            &raw mut model,
            error,
        )
    });
    (code, words, model)
}

fn encode(
    model: *mut sam_mm_backend_model,
    operation: *mut sam_mm_operation,
) -> (i32, String, *mut sam_mm_backend_embedding) {
    let elements = [0.5f32; 3];
    let pixels = sam_mm_backend_pixels {
        element: SAM_MM_ELEMENT_F32,
        width: 1,
        height: 1,
        original_width: 1,
        original_height: 1,
        row_stride: 12,
        data: elements.as_ptr().cast(),
        ..zeroed()
    };
    let plan = Plan::DEFAULT.to_abi();
    let mut embedding = ptr::null_mut();
    // SAFETY: as above.
    let (code, words) = told(|error| unsafe {
        table().encode.unwrap()(
            model,
            &raw const pixels,
            &raw const plan,
            operation,
            &raw mut embedding,
            error,
        )
    });
    (code, words, embedding)
}

/// Frees in the order given, and tells the order in which the backend's own objects went.
fn free(
    device: *mut sam_mm_backend_device,
    model: *mut sam_mm_backend_model,
    embedding: *mut sam_mm_backend_embedding,
) {
    // SAFETY: each is NULL or live, and not used afterwards.
    unsafe {
        table().device_close.unwrap()(device);
        table().model_free.unwrap()(model);
        table().embedding_free.unwrap()(embedding);
    }
}

/// The tests that count drops or read what was said must not mix.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    let guard = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    DROPPED.store(0, Ordering::SeqCst);
    said();
    guard
}

#[test]
fn a_panic_becomes_an_error_with_its_words_and_place() {
    let _alone = alone();
    let mut out: sam_mm_backend_probe = zeroed();
    // SAFETY: as above.
    let (code, words) =
        told(|error| unsafe { table().probe.unwrap()(c"cuda:13".as_ptr(), &raw mut out, error) });
    assert_eq!(code, SAM_MM_ERR_INTERNAL);
    assert!(
        words.starts_with("a defect of the plugin was caught: panic at "),
        "{words}"
    );
    assert!(words.ends_with("number 13 brings bad luck"), "{words}");
}

#[test]
fn a_model_that_panicked_is_refused_from_then_on_and_can_be_freed() {
    let _alone = alone();
    let device = open();
    let (_, _, model) = load(device, c"panic");
    let (code, words, _) = encode(model, ptr::null_mut());
    assert_eq!(
        (code, words.contains("forgot line 7")),
        (SAM_MM_ERR_INTERNAL, true)
    );
    let (code, words, _) = encode(model, ptr::null_mut());
    assert_eq!(code, SAM_MM_ERR_INTERNAL);
    assert_eq!(
        words,
        "an earlier call on this model failed half way; free it"
    );
    free(device, model, ptr::null_mut());
    assert_eq!(DROPPED.load(Ordering::SeqCst).to_be_bytes(), *b"\0\0MD");
}

#[test]
fn a_panic_while_freeing_stays_inside_and_is_logged() {
    let _alone = alone();
    let device = open();
    let (_, _, model) = load(device, c"panic on leaving");
    free(device, model, ptr::null_mut());
    let lines = said();
    assert!(
        lines.len() == 1 && lines[0].contains("the actor will not leave"),
        "{lines:?}"
    );
}

#[test]
fn parents_outlive_their_children_whatever_is_freed_first() {
    let _alone = alone();
    let device = open();
    let (_, _, model) = load(device, c"");
    let (_, _, embedding) = encode(model, ptr::null_mut());
    free(device, model, ptr::null_mut());
    assert_eq!(DROPPED.load(Ordering::SeqCst), 0);
    free(ptr::null_mut(), ptr::null_mut(), embedding);
    assert_eq!(DROPPED.load(Ordering::SeqCst).to_be_bytes(), *b"\0EMD");
}

#[test]
fn a_handle_of_another_kind_is_refused() {
    let _alone = alone();
    let device = open();
    let (code, words, _) = encode(device.cast(), ptr::null_mut());
    assert_eq!(code, SAM_MM_ERR_INVALID_HANDLE);
    assert!(words.contains("is not a model of this backend"), "{words}");
    free(ptr::null_mut(), device.cast(), ptr::null_mut());
    assert!(said()[0].contains("is not a model of this backend"));
    assert_eq!(DROPPED.load(Ordering::SeqCst), 0);
    free(device, ptr::null_mut(), ptr::null_mut());
}

#[test]
fn a_model_that_describes_the_impossible_is_not_given_out() {
    let _alone = alone();
    let device = open();
    let (code, words, model) = load(device, c"impossible");
    assert_eq!(code, SAM_MM_ERR_INTERNAL);
    assert!(
        words.contains("input_size 3 must be a positive multiple of mask_size 2"),
        "{words}"
    );
    assert!(model.is_null());
    free(device, ptr::null_mut(), ptr::null_mut());
    assert_eq!(DROPPED.load(Ordering::SeqCst).to_be_bytes(), *b"\0\0MD");
}

#[test]
fn recovery_asks_the_host_as_long_as_memory_is_what_lacks() {
    let _alone = alone();
    let device = open();
    let (_, _, model) = load(device, c"recover");
    let (code, _, embedding) = encode(model, ptr::null_mut());
    assert_eq!(code, SAM_MM_OK);
    assert_eq!(said(), ["before 100", "failed 60 1", "failed 60 2"]);
    free(device, model, embedding);
    let device = open();
    let (_, _, model) = load(device, c"other failure");
    let (code, words, _) = encode(model, ptr::null_mut());
    assert_eq!(
        (code, words.as_str()),
        (SAM_MM_ERR_BACKEND, "not for lack of memory")
    );
    assert_eq!(said(), ["before 100"]);
    free(device, model, ptr::null_mut());
}

#[test]
fn a_recovery_that_is_cancelled_ends_as_cancelled() {
    let _alone = alone();
    let device = open();
    let (_, _, model) = load(device, c"recover");
    let (code, _, _) = encode(model, ptr::without_provenance_mut(CANCELLED));
    assert_eq!(code, SAM_MM_ERR_CANCELLED);
    free(device, model, ptr::null_mut());
}

#[test]
fn lines_reach_the_host_and_other_threads_may_ask_whether_to_stop() {
    let _alone = alone();
    let device = open();
    let (_, _, model) = load(device, c"speak");
    let (code, _, embedding) = encode(model, ptr::null_mut());
    assert_eq!(code, SAM_MM_OK);
    assert_eq!(said(), ["log 2 line with  inside"]);
    let (code, _, _) = encode(model, ptr::without_provenance_mut(CANCELLED));
    assert_eq!(code, SAM_MM_ERR_CANCELLED);
    said();
    // SAFETY: as above.
    let told = told(|error| unsafe { table().device_trim.unwrap()(device, &mut 0, error) });
    assert_eq!(
        (told.0, said()),
        (SAM_MM_OK, vec!["log 3 sweeping the stage".to_owned()])
    );
    free(device, model, embedding);
}

#[test]
fn texts_of_the_description_end_at_no_nul_within() {
    let _alone = alone();
    let device = open();
    let (_, _, model) = load(device, c"");
    let mut info: sam_mm_backend_model_info = zeroed();
    // SAFETY: as above.
    let told =
        told(|error| unsafe { table().model_describe.unwrap()(model, &raw mut info, error) });
    assert_eq!(told.0, SAM_MM_OK);
    // SAFETY: NUL-terminated while the model lives.
    assert_eq!(unsafe { CStr::from_ptr(info.variant) }, c"with a  in it");
    free(device, model, ptr::null_mut());
}

#[test]
fn an_error_struct_that_is_too_short_is_left_alone() {
    let _alone = alone();
    let mut error: sam_mm_backend_error = zeroed();
    error.struct_size = 16;
    let mut out: sam_mm_backend_probe = zeroed();
    // SAFETY: as above; only 16 bytes are offered.
    let code = unsafe { table().probe.unwrap()(c"tpu".as_ptr(), &raw mut out, &raw mut error) };
    assert_eq!(code, SAM_MM_ERR_INVALID_ARGUMENT);
    assert_eq!(error.message[0], 0);
}

#[test]
fn a_place_that_knows_more_than_the_plugin_keeps_what_it_had() {
    #[repr(C)]
    struct Later {
        known: sam_mm_backend_mem_info,
        added: u64,
    }
    let _alone = alone();
    let device = open();
    let mut later = Later {
        known: zeroed(),
        added: 42,
    };
    later.known.struct_size = size_of::<Later>() as u32;
    // SAFETY: as above; `Later` begins with the struct and is as large as it says.
    let told = told(|error| unsafe {
        table().device_mem_info.unwrap()(device, &raw mut later.known, error)
    });
    assert_eq!(
        (told.0, later.added, later.known.struct_size),
        (SAM_MM_OK, 42, size_of::<Later>() as u32)
    );
    free(device, ptr::null_mut(), ptr::null_mut());
}

#[test]
fn what_the_plugin_requires_stands_in_its_file() {
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    // Backwards, so that this very text is not what is found.
    let marker: Vec<u8> = b";3.2.1=tpircsbil:seriuqer-dnekcab-mm-mas"
        .iter()
        .rev()
        .copied()
        .collect();
    table();
    assert!(file.windows(marker.len()).any(|window| window == marker));
}
