//! Jobs: calls that a thread of the context makes. Submit, poll or wait or be called, take the result, free.

use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::call::{call, call_init, clear, quiet};
use super::context::{CONTEXTS, sam_mm_context};
use super::display::{DISPLAYS, sam_mm_display, sam_mm_display_options, scaling};
use super::error::sam_mm_error;
use super::everything::{self, sam_mm_everything_options, sam_mm_mask_set};
use super::exit::{let_go_at_exit, let_go_at_exit_once};
use super::handle::Table;
use super::image::{IMAGES, sam_mm_image};
use super::log::UserData;
use super::model::{self, MODELS, sam_mm_model, sam_mm_model_options};
use super::predict::{self, sam_mm_predict_request};
use super::result::{RESULTS, sam_mm_result};
use super::structs::{self, c_struct};
use crate::context::Context;
use crate::error::Error;
use crate::everything::{Step, segment_everything_with};
use crate::jobs::completion::Callback;
use crate::jobs::job::{Body, Job, JobState, Kind, Output};
use crate::jobs::progress::Stage;
use crate::model::{Model, Source};
use crate::predictor;

/// It has not begun.
pub const SAM_MM_JOB_QUEUED: u32 = 0;
/// A thread is at it.
pub const SAM_MM_JOB_RUNNING: u32 = 1;
/// Its result is there, or was taken.
pub const SAM_MM_JOB_SUCCEEDED: u32 = 2;
/// It has an error instead.
pub const SAM_MM_JOB_FAILED: u32 = 3;
/// It was cancelled before it had a result.
pub const SAM_MM_JOB_CANCELLED: u32 = 4;

/// A job of `sam_mm_job_submit_model_load`.
pub const SAM_MM_JOB_KIND_MODEL_LOAD: u32 = 0;
/// A job of `sam_mm_job_submit_encode`.
pub const SAM_MM_JOB_KIND_ENCODE: u32 = 1;
/// A job of `sam_mm_job_submit_predict`.
pub const SAM_MM_JOB_KIND_PREDICT: u32 = 2;
/// A job of `sam_mm_job_submit_process`.
pub const SAM_MM_JOB_KIND_PROCESS: u32 = 3;
/// A job of `sam_mm_job_submit_everything`.
pub const SAM_MM_JOB_KIND_EVERYTHING: u32 = 4;

/// It waits for a thread, or for its turn with the model.
pub const SAM_MM_JOB_STAGE_WAITING: u32 = 0;
/// A backend or a model is loaded.
pub const SAM_MM_JOB_STAGE_LOADING: u32 = 1;
/// The pixels are read.
pub const SAM_MM_JOB_STAGE_READING: u32 = 2;
/// The image encoder runs.
pub const SAM_MM_JOB_STAGE_ENCODING: u32 = 3;
/// The mask decoder runs.
pub const SAM_MM_JOB_STAGE_DECODING: u32 = 4;
/// The image is brought to display size.
pub const SAM_MM_JOB_STAGE_PROCESSING: u32 = 5;
/// It has ended.
pub const SAM_MM_JOB_STAGE_ENDED: u32 = 6;

/// A call that a thread of the context makes. May be used from many threads at once.
#[allow(non_camel_case_types)]
pub struct sam_mm_job {
    _opaque: [u8; 0],
}

static JOBS: Table<sam_mm_job, Job> = Table::new(7, "sam_mm_job");

/// Is called once when a job has ended, on a thread of the context; its result can be taken there. [callback] It must not
/// let a C++ exception or a `longjmp` out.
#[allow(non_camel_case_types)]
pub type sam_mm_job_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, job: *mut sam_mm_job)>;

/// How a job is done. Fill it with `sam_mm_job_options_init`, then change what should differ.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_job_options {
    /// `sizeof(sam_mm_job_options)`.
    pub struct_size: u32,
    /// Zero; for later use.
    pub reserved: u32,
    /// Called when the job has ended, perhaps before the submitting function returns; NULL (default) for none. See
    /// `sam_mm_job_set_callback`.
    pub callback: sam_mm_job_fn,
    /// Passed to `callback`.
    pub user_data: *mut c_void,
}

c_struct!(sam_mm_job_options);

/// Fills options with their defaults; `struct_size` is `sizeof(sam_mm_job_options)`. [any thread]
///
/// # Safety
/// `options` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_options_init(
    options: *mut sam_mm_job_options,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(options, struct_size) }
}

/// Submits what `sam_mm_model_load` does. What `options` points to is copied, the bytes of a checkpoint too; wrong
/// arguments are refused at once. `job_options` may be NULL. The model comes from `sam_mm_job_take_model`. [any thread]
///
/// # Safety
/// As for `sam_mm_model_load`; `job_options` is NULL or valid for its `struct_size`, and its callback may be called with
/// its `user_data` from any thread; `job` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_submit_model_load(
    context: *mut sam_mm_context,
    options: *const sam_mm_model_options,
    job_options: *const sam_mm_job_options,
    job: *mut *mut sam_mm_job,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("job", job, std::ptr::null_mut())?;
            let context = Arc::clone(&CONTEXTS.get(context)?.core);
            call.enter(&context)?;
            let (source, precision) = model::what_to_load(options)?;
            let source = OwnedSource::copy(source)?;
            let loads_in = Arc::clone(&context);
            let body: Body = Box::new(move |orders| {
                let model = Model::load_with(&loads_in, source.borrow(), precision, orders)?;
                // The backend's own globals came just now; at the end of the process they go before ours.
                let_go_at_exit();
                Ok(Output::Model(Arc::new(model)))
            });
            submit((&context, Kind::ModelLoad), job_options, job, body)
        })
    }
}

/// Submits what `sam_mm_image_encode` does. Model and image may be freed afterwards. [any thread]
///
/// # Safety
/// As for `sam_mm_job_submit_model_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_submit_encode(
    model: *mut sam_mm_model,
    image: *mut sam_mm_image,
    job_options: *const sam_mm_job_options,
    job: *mut *mut sam_mm_job,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("job", job, std::ptr::null_mut())?;
            let model = Arc::clone(&MODELS.get(model)?.core);
            let image = IMAGES.get(image)?;
            let context = Arc::clone(model.context());
            call.enter(&context)?;
            predictor::check_same_context(&model, &image)?;
            let body: Body = Box::new(move |orders| {
                predictor::encode_with(&model, &image, orders)?;
                Ok(Output::Nothing)
            });
            submit((&context, Kind::Encode), job_options, job, body)
        })
    }
}

/// Submits what `sam_predict` does. The request is checked and copied; model and image may be freed afterwards. The result
/// comes from `sam_mm_job_take_result`. [any thread]
///
/// # Safety
/// As for `sam_predict` and `sam_mm_job_submit_model_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_submit_predict(
    model: *mut sam_mm_model,
    image: *mut sam_mm_image,
    request: *const sam_mm_predict_request,
    job_options: *const sam_mm_job_options,
    job: *mut *mut sam_mm_job,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("job", job, std::ptr::null_mut())?;
            let model = Arc::clone(&MODELS.get(model)?.core);
            let image = IMAGES.get(image)?;
            let context = Arc::clone(model.context());
            call.enter(&context)?;
            let request = structs::read(request)?;
            let given = predict::prompts(&request)?;
            let prompts = predictor::check_prompts(&model, &image, &given, request.multimask != 0)?;
            let body: Body = Box::new(move |orders| {
                let made = predictor::predict_checked(&model, &image, &prompts, orders)?;
                Ok(Output::Prediction(Box::new(made)))
            });
            submit((&context, Kind::Predict), job_options, job, body)
        })
    }
}

/// Submits what `sam_mm_image_process` does. The image may be freed afterwards. The display image comes from
/// `sam_mm_job_take_display`. [any thread]
///
/// # Safety
/// As for `sam_mm_image_process` and `sam_mm_job_submit_model_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_submit_process(
    image: *mut sam_mm_image,
    options: *const sam_mm_display_options,
    job_options: *const sam_mm_job_options,
    job: *mut *mut sam_mm_job,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("job", job, std::ptr::null_mut())?;
            let image = IMAGES.get(image)?;
            let context = Arc::clone(image.context());
            call.enter(&context)?;
            let options = scaling(options)?;
            crate::display::check(&image, &options)?;
            let body: Body = Box::new(move |orders| {
                orders.enter(Stage::Processing, 0.0)?;
                Ok(Output::Display(crate::display::process(&image, &options)?))
            });
            submit((&context, Kind::Process), job_options, job, body)
        })
    }
}

/// Submits what `sam_mm_image_segment_everything` does. The options are checked and copied; model and image may be freed
/// afterwards. Its `on_step` is called on a thread of the context. The masks come from `sam_mm_job_take_mask_set`.
/// [any thread]
///
/// # Safety
/// As for `sam_mm_image_segment_everything` and `sam_mm_job_submit_model_load`; `on_step` may be called until the job has
/// ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_submit_everything(
    model: *mut sam_mm_model,
    image: *mut sam_mm_image,
    options: *const sam_mm_everything_options,
    job_options: *const sam_mm_job_options,
    job: *mut *mut sam_mm_job,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("job", job, std::ptr::null_mut())?;
            let model = Arc::clone(&MODELS.get(model)?.core);
            let image = IMAGES.get(image)?;
            let context = Arc::clone(model.context());
            call.enter(&context)?;
            let (options, teller) = everything::what_to_find(options)?;
            crate::everything::check(&model, &image, &options)?;
            let body: Body = Box::new(move |orders| {
                let mut watch = |step: &Step<'_>| teller.tell(step, image.size());
                let found = segment_everything_with(&model, &image, &options, orders, &mut watch)?;
                Ok(Output::Everything(Box::new(found)))
            });
            submit((&context, Kind::Everything), job_options, job, body)
        })
    }
}

/// A job as it is at this moment.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_job_info {
    /// `sizeof(sam_mm_job_info)`.
    pub struct_size: u32,
    /// `SAM_MM_JOB_KIND_…`.
    pub kind: u32,
    /// `SAM_MM_JOB_QUEUED` to `SAM_MM_JOB_CANCELLED`. New states may come; from `SAM_MM_JOB_SUCCEEDED` on it has ended.
    pub state: u32,
    /// `SAM_MM_JOB_STAGE_…`. New stages may come.
    pub stage: u32,
    /// Its status code once it has ended; until then `SAM_MM_OK`.
    pub status: i32,
    /// Zero; for later use.
    pub reserved: u32,
    /// The done part of all, 0 to 1; within a stage an estimate.
    pub progress: f64,
    /// Its number within the context, never used twice: what it is called in progress events.
    pub id: u64,
}

c_struct!(sam_mm_job_info);

/// Tells where a job is. Never waits, also in callbacks. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_describe(
    job: *const sam_mm_job,
    info: *mut sam_mm_job_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let job = JOBS.get(job)?;
            let mut answer: sam_mm_job_info = structs::zeroed();
            let (stage, progress) = job.progress();
            let (state, status) = job.state();
            answer.kind = match job.kind() {
                Kind::ModelLoad => SAM_MM_JOB_KIND_MODEL_LOAD,
                Kind::Encode => SAM_MM_JOB_KIND_ENCODE,
                Kind::Predict => SAM_MM_JOB_KIND_PREDICT,
                Kind::Process => SAM_MM_JOB_KIND_PROCESS,
                Kind::Everything => SAM_MM_JOB_KIND_EVERYTHING,
            };
            answer.state = state_number(state);
            answer.stage = stage_number(stage);
            (answer.status, answer.progress, answer.id) = (status, progress, job.id());
            structs::write(info, &answer)
        })
    }
}

/// Waits until a job has ended, at most `timeout_ms` milliseconds; −1 waits as long as it takes, 0 not at all. `state`, which
/// may be NULL, receives where it is then: a time that is over is no error. Refused from inside a callback. [any thread]
///
/// # Safety
/// `state` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_wait(
    job: *const sam_mm_job,
    timeout_ms: i64,
    state: *mut u32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            if !state.is_null() {
                clear("state", state, SAM_MM_JOB_QUEUED)?;
            }
            let job = JOBS.get(job)?;
            let timeout = match timeout_ms {
                -1 => None,
                0.. => Some(Duration::from_millis(timeout_ms.unsigned_abs())),
                _ => {
                    let reason = format!(
                        "is {timeout_ms}; it is a number of milliseconds, or -1 for as long as it takes"
                    );
                    return Err(Error::invalid_argument("timeout_ms", reason));
                }
            };
            let reached = job.wait(timeout)?;
            if !state.is_null() {
                state.write(state_number(reached));
            }
            Ok(())
        })
    }
}

/// Tells a job that its result is not wanted any more. One that has not begun ends at once; one that runs ends as soon as it
/// can, between two blocks of the model, and keeps nothing half made. It goes on to the end of the encoding when another call
/// waits for the same image. A job that has ended stays as it is. Never waits, also in callbacks. [any thread]
///
/// # Safety
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_cancel(
    job: *mut sam_mm_job,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            JOBS.get(job)?.cancel();
            Ok(())
        })
    }
}

/// Has `callback` called once when a job has ended, on a thread of the context; for a job that has ended already it is called
/// all the same, so none is missed. NULL removes the one there is. When this function returns, the former callback is not
/// running any more and its `user_data` may be freed; so it cannot be called from inside a callback. [any thread]
///
/// # Safety
/// `callback` may be called with `user_data` from any thread until it was called, is replaced or the job is freed; `error`
/// is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_set_callback(
    job: *mut sam_mm_job,
    callback: sam_mm_job_fn,
    user_data: *mut c_void,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let callback = told(callback, user_data, job);
            JOBS.get(job)?.set_callback(callback)
        })
    }
}

/// Tells what came of a job that has ended: success, or the status and the error of the job, as often as asked. For jobs of
/// every kind, also those without a result to take. [any thread]
///
/// # Safety
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_check(
    job: *const sam_mm_job,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call(error, |_| JOBS.get(job)?.check()) }
}

/// Takes the result of a predict job that has succeeded; it is the caller's and outlives the job. For a job that failed or
/// was cancelled this fails as the call would have, with the job's error. A job that has not ended is refused, and so is
/// taking twice. Never waits. [any thread]
///
/// # Safety
/// `result` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_take_result(
    job: *mut sam_mm_job,
    result: *mut *mut sam_mm_result,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("result", result, std::ptr::null_mut())?;
            if let Output::Prediction(made) = JOBS.get(job)?.take(Kind::Predict)? {
                result.write(RESULTS.insert(Arc::new((*made).into()))?);
            }
            Ok(())
        })
    }
}

/// Takes the model of a model load job; as `sam_mm_job_take_result`. [any thread]
///
/// # Safety
/// `model` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_take_model(
    job: *mut sam_mm_job,
    model: *mut *mut sam_mm_model,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("model", model, std::ptr::null_mut())?;
            if let Output::Model(loaded) = JOBS.get(job)?.take(Kind::ModelLoad)? {
                model.write(model::publish(loaded)?);
            }
            Ok(())
        })
    }
}

/// Takes the display image of a process job; as `sam_mm_job_take_result`. [any thread]
///
/// # Safety
/// `display` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_take_display(
    job: *mut sam_mm_job,
    display: *mut *mut sam_mm_display,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("display", display, std::ptr::null_mut())?;
            if let Output::Display(made) = JOBS.get(job)?.take(Kind::Process)? {
                display.write(DISPLAYS.insert(made)?);
            }
            Ok(())
        })
    }
}

/// Takes the masks of an everything job; as `sam_mm_job_take_result`. [any thread]
///
/// # Safety
/// `masks` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_job_take_mask_set(
    job: *mut sam_mm_job,
    masks: *mut *mut sam_mm_mask_set,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("masks", masks, std::ptr::null_mut())?;
            if let Output::Everything(found) = JOBS.get(job)?.take(Kind::Everything)? {
                masks.write(everything::publish(*found)?);
            }
            Ok(())
        })
    }
}

/// Frees a job, and a result that was not taken. One that has not ended is cancelled and not waited for. Its callback is not
/// running any more when this returns, and is not called later; but from inside a callback it is not waited for. NULL and
/// jobs freed before are ignored. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_job_free(job: *mut sam_mm_job) {
    quiet((), || {
        if let Ok(job) = JOBS.remove(job) {
            job.abandon();
        }
    });
}

/// # Safety
/// `options` is NULL or valid for its `struct_size`; `job` is a writable place.
unsafe fn submit(
    (context, kind): (&Arc<Context>, Kind),
    options: *const sam_mm_job_options,
    job: *mut *mut sam_mm_job,
    body: Body,
) -> Result<(), Error> {
    let options: sam_mm_job_options = match options.is_null() {
        true => structs::CStruct::defaults(),
        // SAFETY: as promised by the caller.
        false => unsafe { structs::read(options)? },
    };
    structs::reserved("job_options.reserved", options.reserved)?;
    let made = context.jobs().prepare(context, kind, body);
    let handle = JOBS.insert(Arc::clone(&made))?;
    made.begin_with_callback(told(options.callback, options.user_data, handle));
    if let Err(refused) = context.jobs().start(&made) {
        // Nobody knows the handle yet.
        drop(JOBS.remove(handle));
        return Err(refused);
    }
    let_go_at_exit_once();
    // SAFETY: as promised by the caller.
    unsafe { job.write(handle) };
    Ok(())
}

/// A caller's callback for the job of this handle.
fn told(callback: sam_mm_job_fn, user_data: *mut c_void, job: *mut sam_mm_job) -> Option<Callback> {
    let callback = callback?;
    let (user_data, job) = (UserData(user_data), UserData(job.cast()));
    Some(Box::new(move || {
        // SAFETY: the caller promised that the function may be called with this value from any thread; a handle is a key.
        unsafe { callback(user_data.get(), job.get().cast()) }
    }))
}

/// What a model is loaded from, in our own memory.
enum OwnedSource {
    File(PathBuf),
    Bytes(Vec<u8>),
    Demo,
}

impl OwnedSource {
    fn copy(source: Source<'_>) -> Result<Self, Error> {
        Ok(match source {
            Source::File(path) => Self::File(path),
            Source::Demo => Self::Demo,
            Source::Bytes(bytes) => {
                let mut copy = Vec::new();
                copy.try_reserve_exact(bytes.len())
                    .map_err(|_| Error::HostMemory {
                        what: "a copy of the checkpoint",
                        bytes: bytes.len(),
                    })?;
                copy.extend_from_slice(bytes);
                Self::Bytes(copy)
            }
        })
    }

    fn borrow(&self) -> Source<'_> {
        match self {
            Self::File(path) => Source::File(path.clone()),
            Self::Bytes(bytes) => Source::Bytes(bytes),
            Self::Demo => Source::Demo,
        }
    }
}

pub(super) fn state_number(state: JobState) -> u32 {
    match state {
        JobState::Queued => SAM_MM_JOB_QUEUED,
        JobState::Running => SAM_MM_JOB_RUNNING,
        JobState::Succeeded => SAM_MM_JOB_SUCCEEDED,
        JobState::Failed => SAM_MM_JOB_FAILED,
        JobState::Cancelled => SAM_MM_JOB_CANCELLED,
    }
}

pub(super) fn stage_number(stage: Stage) -> u32 {
    match stage {
        Stage::Waiting => SAM_MM_JOB_STAGE_WAITING,
        Stage::Loading => SAM_MM_JOB_STAGE_LOADING,
        Stage::Reading => SAM_MM_JOB_STAGE_READING,
        Stage::Encoding => SAM_MM_JOB_STAGE_ENCODING,
        Stage::Decoding => SAM_MM_JOB_STAGE_DECODING,
        Stage::Processing => SAM_MM_JOB_STAGE_PROCESSING,
        Stage::Ended => SAM_MM_JOB_STAGE_ENDED,
    }
}
