//! Prompts in, result out.

use std::sync::Arc;

use super::call::{call, call_init, clear};
use super::error::sam_mm_error;
use super::image::{IMAGES, sam_mm_image};
use super::model::{MODELS, sam_mm_model};
use super::result::{RESULTS, sam_mm_result};
use super::structs::{self, c_struct};
use crate::error::Error;
use crate::prompt::{MAX_OBJECTS, MAX_POINTS, Prompt, PromptError};

/// What one object is pointed at with; at least one of points, box and mask input. Coordinates are pixels of the
/// original image: (0, 0) is the outer corner of the first pixel, (width, height) that of the last. Fill it with
/// `sam_mm_prompt_init`, then set the parts there are.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_prompt {
    /// `sizeof(sam_mm_prompt)`; the same in all prompts of a request, which is how they are told apart.
    pub struct_size: u32,
    /// Points at `points`, 0 (default) to 4096.
    pub num_points: u32,
    /// x and y of each point: `2 * num_points` values.
    pub points: *const f32,
    /// `num_points` labels: 1 foreground, 0 background. NULL (default) when all are foreground.
    pub labels: *const i32,
    /// Four values x0, y0, x1, y1 with x0 < x1 and y0 < y1, or NULL (default).
    pub bounding_box: *const f32,
    /// Low-resolution logits of an earlier result of the same model (`sam_mm_result_logits`), or NULL (default). Values
    /// beyond ±1e6, which models cannot compute with, are refused.
    pub mask_input: *const f32,
    /// Values at `mask_input`: `mask_size * mask_size` of the model; 0 (default) when that is NULL.
    pub mask_input_len: u64,
}

c_struct!(sam_mm_prompt);

/// Fills a prompt with its defaults; `struct_size` is `sizeof(sam_mm_prompt)`. [any thread]
///
/// # Safety
/// `prompt` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_prompt_init(prompt: *mut sam_mm_prompt, struct_size: u32) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(prompt, struct_size) }
}

/// What a prediction is asked for: objects by full prompts, objects by boxes alone, or both. Fill it with
/// `sam_mm_predict_request_init`, then set what is wanted.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_predict_request {
    /// `sizeof(sam_mm_predict_request)`.
    pub struct_size: u32,
    /// Non-zero (default): several masks per object (SAM: three), for prompts that leave open what is meant, such as a
    /// single click. 0: one mask per object, for prompts that do not.
    pub multimask: u32,
    /// `num_prompts` prompts, one after the other in memory; each asks for one object.
    pub prompts: *const sam_mm_prompt,
    /// `num_boxes` boxes of four values x0, y0, x1, y1, as in a prompt; each asks for one object, numbered after those of
    /// `prompts`.
    pub boxes: *const f32,
    /// Prompts at `prompts`.
    pub num_prompts: u32,
    /// Boxes at `boxes`. `num_prompts + num_boxes` is 1 to 1024.
    pub num_boxes: u32,
}

c_struct!(sam_mm_predict_request, |request| request.multimask = 1);

/// Fills a request with its defaults; `struct_size` is `sizeof(sam_mm_predict_request)`. [any thread]
///
/// # Safety
/// `request` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_predict_request_init(
    request: *mut sam_mm_predict_request,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(request, struct_size) }
}

/// Predicts the masks of the objects that a request points at. Encodes the image first if this model has not seen it
/// yet, and computes nothing when the same was predicted before and is still kept (`prediction_reused` of the result tells).
/// Model and image are of the same context. Everything is copied: the request may be freed afterwards, and the result
/// outlives model and image. Refused from inside a callback. [any thread]
///
/// # Safety
/// `request` and its prompts are valid for their `struct_size`, their arrays for the counts given; `result` and `error`
/// are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_predict(
    model: *mut sam_mm_model,
    image: *mut sam_mm_image,
    request: *const sam_mm_predict_request,
    result: *mut *mut sam_mm_result,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("result", result, std::ptr::null_mut())?;
            let model = MODELS.get(model)?;
            let image = IMAGES.get(image)?;
            call.enter(model.core.context())?;
            let request = structs::read(request)?;
            let prompts = prompts(&request)?;
            let prediction =
                crate::predictor::predict(&model.core, &image, &prompts, request.multimask != 0)?;
            result.write(RESULTS.insert(Arc::new(prediction.into()))?);
            Ok(())
        })
    }
}

/// # Safety
/// The arrays of `request` are as `sam_mm_predict_request` says and live as long as `'a`.
pub(super) unsafe fn prompts<'a>(
    request: &sam_mm_predict_request,
) -> Result<Vec<Prompt<'a>>, Error> {
    let (num_prompts, num_boxes) = (request.num_prompts as usize, request.num_boxes as usize);
    if num_prompts.saturating_add(num_boxes) > MAX_OBJECTS {
        return Err(PromptError::TooManyObjects {
            given: num_prompts.saturating_add(num_boxes),
        }
        .into());
    }
    let mut prompts = Vec::with_capacity(num_prompts + num_boxes);
    if num_prompts > 0 && request.prompts.is_null() {
        let reason = format!("is NULL, but num_prompts is {num_prompts}");
        return Err(Error::invalid_argument("prompts", reason));
    }
    if num_prompts > 0 {
        // SAFETY: as promised by the caller.
        unsafe { read_prompts(request.prompts, num_prompts, &mut prompts)? };
    }
    // SAFETY: as promised by the caller.
    let boxes = unsafe {
        array(
            Part::of_request("boxes", "num_boxes", num_boxes),
            request.boxes,
            4,
        )?
    };
    for corners in boxes.chunks_exact(4) {
        prompts.push(Prompt {
            bounding_box: corners.try_into().ok(),
            ..Prompt::default()
        });
    }
    Ok(prompts)
}

/// # Safety
/// `first` is NULL or points to `count` prompts, `struct_size` bytes apart.
unsafe fn read_prompts<'a>(
    first: *const sam_mm_prompt,
    count: usize,
    prompts: &mut Vec<Prompt<'a>>,
) -> Result<(), Error> {
    // SAFETY: as promised by the caller; this also refuses NULL and a senseless size.
    unsafe { structs::read(first)? };
    // SAFETY: the first prompt was just read.
    let stride = unsafe { first.cast::<u32>().read() };
    for index in 0..count {
        // SAFETY: as promised by the caller.
        let (declared, prompt) = unsafe {
            let at = first.byte_add(index * stride as usize);
            (at.cast::<u32>().read_unaligned(), structs::read(at)?)
        };
        if declared != stride {
            let reason = format!(
                "of prompt {index} is {declared}, of the first one {stride}; they must be the same"
            );
            return Err(Error::invalid_argument("struct_size", reason));
        }
        // SAFETY: as promised by the caller.
        prompts.push(unsafe { prompt_of(index, &prompt)? });
    }
    Ok(())
}

/// # Safety
/// The arrays of `prompt` are as `sam_mm_prompt` says and live as long as `'a`.
unsafe fn prompt_of<'a>(index: usize, prompt: &sam_mm_prompt) -> Result<Prompt<'a>, Error> {
    static ALL_FOREGROUND: [i32; MAX_POINTS] = [1; MAX_POINTS];
    let count = prompt.num_points as usize;
    if count > MAX_POINTS {
        return Err(PromptError::TooManyPoints {
            prompt: index,
            given: count,
        }
        .into());
    }
    let part = |name, counted_by, count| Part {
        prompt: Some(index),
        name,
        counted_by,
        count,
    };
    // SAFETY: as promised by the caller, here and below.
    let points = unsafe { array(part("points", "num_points", count), prompt.points, 2)? };
    let labels = match prompt.labels.is_null() {
        true => &ALL_FOREGROUND[..count],
        // SAFETY: see above.
        false => unsafe { array(part("labels", "num_points", count), prompt.labels, 1)? },
    };
    let bounding_box = match prompt.bounding_box.is_null() {
        true => None,
        // SAFETY: see above.
        false => unsafe { array(part("bounding_box", "", 1), prompt.bounding_box, 4)? }
            .try_into()
            .ok(),
    };
    let mask_input = match prompt.mask_input.is_null() {
        true if prompt.mask_input_len == 0 => None,
        _ => {
            let len = mask_len(prompt.mask_input_len)?;
            let part = part("mask_input", "mask_input_len", len);
            // SAFETY: see above.
            Some(unsafe { array(part, prompt.mask_input, 1)? })
        }
    };
    Ok(Prompt {
        points: points.as_chunks().0,
        labels,
        bounding_box,
        mask_input,
    })
}

fn mask_len(given: u64) -> Result<usize, Error> {
    // Larger than any model's logits by far; keeps a wild length from being read.
    const MOST: u64 = 1 << 24;
    if given == 0 || given > MOST {
        let reason = format!(
            "is {given}; it is the number of values at mask_input, mask_size * mask_size of the model"
        );
        return Err(Error::invalid_argument("mask_input_len", reason));
    }
    Ok(given as usize)
}

/// An array of a caller, for messages.
struct Part {
    /// The prompt it belongs to; `None` for the request itself.
    prompt: Option<usize>,
    name: &'static str,
    /// The field that tells how much there is, and what it says.
    counted_by: &'static str,
    count: usize,
}

impl Part {
    fn of_request(name: &'static str, counted_by: &'static str, count: usize) -> Self {
        Self {
            prompt: None,
            name,
            counted_by,
            count,
        }
    }

    fn refused(&self, reason: String) -> Error {
        let name = match self.prompt {
            Some(prompt) => format!("{} of prompt {prompt}", self.name),
            None => self.name.to_owned(),
        };
        Error::invalid_argument(name, reason)
    }
}

/// # Safety
/// `first` is NULL or points to as many times `each` values as `part` counts, which live as long as `'a`.
unsafe fn array<'a, T>(part: Part, first: *const T, each: usize) -> Result<&'a [T], Error> {
    if part.count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        let reason = format!("is NULL, but {} is {}", part.counted_by, part.count);
        return Err(part.refused(reason));
    }
    if !first.is_aligned() {
        let reason = format!(
            "lies at {first:p}, which is not aligned to {} bytes",
            align_of::<T>()
        );
        return Err(part.refused(reason));
    }
    // SAFETY: as promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(first, each * part.count) })
}
