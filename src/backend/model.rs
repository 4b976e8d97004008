//! A loaded model.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

use sam_mm_backend_abi::abi;
use sam_mm_backend_abi::error::BackendError as PluginError;
use sam_mm_backend_abi::exclusive::Exclusive;
use sam_mm_backend_abi::layout::zeroed;
use sam_mm_backend_abi::sdk::{PixelData, Pixels};
use sam_mm_backend_abi::types::{Element, Estimate, ModelInfo, Plan, Precision, Resize};

use super::call::{call, defect, written};
use super::device::Open;
use super::embedding::Embedding;
use super::error::BackendError;
use super::loader::{Plugin, required};
use super::operation::Operation;

/// A model on a device. Used from many threads at once, which take turns; freed when it and every embedding it made
/// are dropped.
pub struct Model {
    inner: Arc<Loaded>,
}

pub(super) struct Loaded {
    device: Arc<Open>,
    raw: *mut abi::sam_mm_backend_model,
    info: RwLock<Arc<ModelInfo>>,
    /// The ABI allows one call at a time.
    turn: Exclusive<()>,
}

// SAFETY: the ABI makes every function safe against any thread; the pointer is only passed to them.
unsafe impl Send for Loaded {}
// SAFETY: as above; calls on one model take turns.
unsafe impl Sync for Loaded {}

/// Prompts for a number of objects of one image, one array per part, object after object. Coordinates are pixels of the
/// original image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prompts<'a> {
    /// `multimask_count` masks per object instead of one.
    pub multimask: bool,
    /// `[objects]` points of each; its length is the number of objects.
    pub point_counts: &'a [u32],
    /// `[points][2]` x and y.
    pub points: &'a [f32],
    /// `[points]` 1 foreground, 0 background.
    pub labels: &'a [i32],
    /// `[objects]` non-zero where there is a box; empty when no object has one.
    pub has_box: &'a [u8],
    /// `[objects][4]` x0, y0, x1, y1; empty when no object has one.
    pub boxes: &'a [f32],
    /// `[objects]` non-zero where there is a mask input; empty when no object has one.
    pub has_mask: &'a [u8],
    /// `[objects][mask_size][mask_size]` low-resolution logits; empty when no object has one.
    pub masks: &'a [f32],
}

/// Where [`Model::decode`] writes; `n` is `multimask_count` with multimask output and 1 without.
#[derive(Debug, Default)]
pub struct MaskBuffers<'a> {
    /// `[objects][n][mask_size][mask_size]` low-resolution logits; a mask is where they exceed 0.
    pub logits: &'a mut [f32],
    /// `[objects][n]` predicted IoU.
    pub scores: &'a mut [f32],
    /// `[objects]` object score logit, when wanted; left alone by a model that has none.
    pub object_scores: Option<&'a mut [f32]>,
}

impl Model {
    /// # Safety
    /// `raw` is a live model on `device` that nobody else knows.
    pub(super) unsafe fn adopt(
        device: Arc<Open>,
        raw: *mut abi::sam_mm_backend_model,
    ) -> Result<Self, BackendError> {
        // Owned from here on, so that it is freed should its description be impossible.
        let mut loaded = Loaded {
            device,
            raw,
            info: RwLock::new(Arc::new(NOTHING.clone())),
            turn: Exclusive::new(()),
        };
        loaded.info = RwLock::new(Arc::new(loaded.describe()?));
        Ok(Self {
            inner: Arc::new(loaded),
        })
    }

    /// What the model is and needs. After [`set_precision`](Self::set_precision) the figures of bytes may differ.
    pub fn info(&self) -> Arc<ModelInfo> {
        Arc::clone(
            &self
                .inner
                .info
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Changes the precision of the weights. On an error the model is as before.
    ///
    /// # Errors
    /// What the plugin says; `SAM_MM_ERR_UNSUPPORTED` when the device has no such precision.
    pub fn set_precision(
        &self,
        precision: Precision,
        operation: &Operation,
    ) -> Result<(), BackendError> {
        let _turn = self.inner.turn.lock("model")?;
        let model_set_precision = required(self.inner.plugin().table().model_set_precision);
        // SAFETY: the plugin's function with a live model that nobody else uses now.
        call(|error| unsafe {
            model_set_precision(
                self.inner.raw,
                precision.to_abi(),
                operation.as_ptr(),
                error,
            )
        })?;
        let now = self.inner.describe()?;
        let mut info = self
            .inner
            .info
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let geometry = |info: &ModelInfo| {
            (
                info.input_size,
                info.mask_size,
                info.multimask_count,
                info.input_element,
            )
        };
        if geometry(&now) != geometry(&info) {
            return Err(defect(
                self.inner.plugin().name(),
                "changed the geometry of a model with its precision",
            ));
        }
        *info = Arc::new(now);
        Ok(())
    }

    /// Memory that a plan needs, over and above the weights.
    ///
    /// # Errors
    /// What the plugin says; `SAM_MM_ERR_UNSUPPORTED` for a plan the model cannot run.
    pub fn estimate(&self, plan: &Plan) -> Result<Estimate, BackendError> {
        let _turn = self.inner.turn.lock("model")?;
        let plan = plan.to_abi();
        let mut wire: abi::sam_mm_backend_estimate = zeroed();
        let model_estimate = required(self.inner.plugin().table().model_estimate);
        // SAFETY: the plugin's function with a live model that nobody else uses now.
        call(|error| unsafe {
            model_estimate(self.inner.raw, &raw const plan, &raw mut wire, error)
        })?;
        Ok(Estimate::from_abi(&wire))
    }

    /// Runs the image encoder on pixels that were made as [`info`](Self::info) says.
    ///
    /// # Errors
    /// What the plugin says; `SAM_MM_ERR_INVALID_ARGUMENT` for pixels of another shape.
    pub fn encode(
        &self,
        pixels: &Pixels<'_>,
        plan: &Plan,
        operation: &Operation,
    ) -> Result<Embedding, BackendError> {
        let wire = pixels_to_abi(pixels, &self.info())?;
        let plan = plan.to_abi();
        let mut raw = ptr::null_mut();
        let turn = self.inner.turn.lock("model")?;
        let encode = required(self.inner.plugin().table().encode);
        // SAFETY: the plugin's function with a live model that nobody else uses now, and checked pixels.
        call(|error| unsafe {
            encode(
                self.inner.raw,
                &raw const wire,
                &raw const plan,
                operation.as_ptr(),
                &raw mut raw,
                error,
            )
        })?;
        drop(turn);
        self.adopt_embedding(raw)
    }

    /// Runs prompt encoder and mask decoder for every object of `prompts` and fills `masks`.
    ///
    /// # Errors
    /// What the plugin says; `SAM_MM_ERR_INVALID_ARGUMENT` for an embedding of another model, or arrays whose lengths
    /// do not go together.
    pub fn decode(
        &self,
        embedding: &Embedding,
        prompts: &Prompts<'_>,
        plan: &Plan,
        operation: &Operation,
        masks: &mut MaskBuffers<'_>,
    ) -> Result<(), BackendError> {
        if !Arc::ptr_eq(&embedding.model, &self.inner) {
            return Err(invalid("the embedding was made by another model".into()));
        }
        let prompts_wire = prompts_to_abi(prompts, &self.info())?;
        let masks_wire = masks_to_abi(masks, prompts, &self.info())?;
        let plan = plan.to_abi();
        let _turn = self.inner.turn.lock("model")?;
        let _embedding_turn = embedding.turn.lock("embedding")?;
        let decode = required(self.inner.plugin().table().decode);
        // SAFETY: the plugin's function with a live model and embedding that nobody else uses now, and arrays whose
        // lengths were checked.
        call(|error| unsafe {
            decode(
                self.inner.raw,
                embedding.raw,
                &raw const prompts_wire,
                &raw const plan,
                operation.as_ptr(),
                &raw const masks_wire,
                error,
            )
        })
    }

    /// Makes an embedding from bytes that [`Embedding::export`] of the same model gave.
    ///
    /// # Errors
    /// What the plugin says; `SAM_MM_ERR_INVALID_ARGUMENT` for bytes that are not from such an export.
    pub fn import(&self, bytes: &[u8], operation: &Operation) -> Result<Embedding, BackendError> {
        let mut raw = ptr::null_mut();
        let turn = self.inner.turn.lock("model")?;
        let embedding_import = required(self.inner.plugin().table().embedding_import);
        // SAFETY: the plugin's function with a live model that nobody else uses now.
        call(|error| unsafe {
            embedding_import(
                self.inner.raw,
                bytes.as_ptr(),
                bytes.len() as u64,
                operation.as_ptr(),
                &raw mut raw,
                error,
            )
        })?;
        drop(turn);
        self.adopt_embedding(raw)
    }

    fn adopt_embedding(
        &self,
        raw: *mut abi::sam_mm_backend_embedding,
    ) -> Result<Embedding, BackendError> {
        let raw = written(raw, self.inner.plugin().name(), "embedding")?;
        // SAFETY: an embedding that the plugin has just given, and nobody else knows.
        Ok(unsafe { Embedding::adopt(Arc::clone(&self.inner), raw) })
    }
}

/// Stands in for a description until there is one.
static NOTHING: ModelInfo = ModelInfo {
    family: String::new(),
    variant: String::new(),
    resize: Resize::LongestSide,
    input_size: 0,
    input_element: Element::U8,
    mask_size: 0,
    multimask_count: 0,
    parameters: 0,
    embedding_bytes: 0,
    weight_bytes: 0,
    precision_change_bytes: None,
};

impl Loaded {
    pub(super) fn plugin(&self) -> &Plugin {
        &self.device.plugin
    }

    fn describe(&self) -> Result<ModelInfo, BackendError> {
        let mut wire: abi::sam_mm_backend_model_info = zeroed();
        let model_describe = required(self.plugin().table().model_describe);
        // SAFETY: the plugin's function with a live model and a struct to fill.
        call(|error| unsafe { model_describe(self.raw, &raw mut wire, error) })?;
        let backend = self.plugin().name();
        let unknown = |field: &str, value: u32| {
            defect(backend, &format!("describes a model with {field} {value}"))
        };
        let info = ModelInfo {
            // SAFETY: texts of the description are NUL-terminated while the model lives.
            family: unsafe { text(wire.family) }
                .ok_or_else(|| defect(backend, "describes a model without family"))?,
            // SAFETY: as above.
            variant: unsafe { text(wire.variant) }
                .ok_or_else(|| defect(backend, "describes a model without variant"))?,
            resize: Resize::from_abi(wire.resize).ok_or_else(|| unknown("resize", wire.resize))?,
            input_size: wire.input_size,
            input_element: Element::from_abi(wire.input_element)
                .ok_or_else(|| unknown("input_element", wire.input_element))?,
            mask_size: wire.mask_size,
            multimask_count: wire.multimask_count,
            parameters: wire.parameters,
            embedding_bytes: wire.embedding_bytes,
            weight_bytes: wire.weight_bytes,
            precision_change_bytes: Some(wire.precision_change_bytes).filter(|&bytes| bytes > 0),
        };
        info.check()?;
        Ok(info)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let model_free = required(self.plugin().table().model_free);
        // SAFETY: the plugin's function with a live model that nobody uses afterwards.
        unsafe { model_free(self.raw) }
    }
}

/// # Safety
/// `text` is NULL or NUL-terminated.
unsafe fn text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: NUL-terminated by the caller's promise.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}

fn invalid(message: String) -> BackendError {
    PluginError::invalid_argument(message).into()
}

/// A vector of zeros, or an error where the memory for it cannot be had.
pub(super) fn zeros<T: Clone + Default>(len: usize, what: &str) -> Result<Vec<T>, BackendError> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(len).map_err(|_| {
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        PluginError::out_of_memory(
            format!("no host memory for the {bytes} bytes of {what}"),
            Some(bytes),
            None,
        )
    })?;
    vector.resize(len, T::default());
    Ok(vector)
}

fn pixels_to_abi(
    pixels: &Pixels<'_>,
    info: &ModelInfo,
) -> Result<abi::sam_mm_backend_pixels, BackendError> {
    let (data, len, size) = match pixels.data {
        PixelData::U8(data) => (data.as_ptr().cast(), data.len(), size_of::<u8>()),
        PixelData::F32(data) => (data.as_ptr().cast(), data.len(), size_of::<f32>()),
    };
    let row = 3 * pixels.width as usize;
    let inside = 1..=info.input_size;
    let needed = (pixels.height as usize)
        .checked_sub(1)
        .and_then(|rows| pixels.row_stride.checked_mul(rows)?.checked_add(row));
    if pixels.data.element() != info.input_element
        || !inside.contains(&pixels.width)
        || !inside.contains(&pixels.height)
        || pixels.row_stride < row
        || needed.is_none_or(|needed| len < needed)
    {
        return Err(invalid(format!(
            "{}x{} {} pixels with row stride {} and {len} elements do not suit a model that takes {} pixels up to {} \
             a side",
            pixels.width,
            pixels.height,
            pixels.data.element(),
            pixels.row_stride,
            info.input_element,
            info.input_size,
        )));
    }
    Ok(abi::sam_mm_backend_pixels {
        element: pixels.data.element().to_abi(),
        width: pixels.width,
        height: pixels.height,
        original_width: pixels.original_width,
        original_height: pixels.original_height,
        row_stride: (pixels.row_stride as u64) * size as u64,
        data,
        ..zeroed()
    })
}

fn prompts_to_abi(
    prompts: &Prompts<'_>,
    info: &ModelInfo,
) -> Result<abi::sam_mm_backend_prompts, BackendError> {
    let objects = prompts.point_counts.len();
    let points: usize = prompts
        .point_counts
        .iter()
        .map(|&count| count as usize)
        .sum();
    let cells = info.mask_size as usize * info.mask_size as usize;
    let all_or_none = |len: usize, each: usize| len == 0 || len == objects.saturating_mul(each);
    let fits = objects > 0
        && u32::try_from(objects).is_ok()
        && prompts.points.len() == points * 2
        && prompts.labels.len() == points
        && all_or_none(prompts.has_box.len(), 1)
        && all_or_none(prompts.boxes.len(), 4)
        && all_or_none(prompts.has_mask.len(), 1)
        && all_or_none(prompts.masks.len(), cells)
        && (!prompts.boxes.is_empty() || prompts.has_box.iter().all(|&has| has == 0))
        && (!prompts.masks.is_empty() || prompts.has_mask.iter().all(|&has| has == 0));
    if !fits {
        return Err(invalid(format!(
            "the prompts of {objects} objects do not go together: {points} points announced, {} coordinates, {} \
             labels, {} of has_box, {} box corners, {} of has_mask, {} cells of masks with {cells} each",
            prompts.points.len(),
            prompts.labels.len(),
            prompts.has_box.len(),
            prompts.boxes.len(),
            prompts.has_mask.len(),
            prompts.masks.len(),
        )));
    }
    Ok(abi::sam_mm_backend_prompts {
        num_objects: objects as u32,
        multimask: prompts.multimask.into(),
        point_counts: pointer(prompts.point_counts),
        points: pointer(prompts.points),
        labels: pointer(prompts.labels),
        has_box: pointer(prompts.has_box),
        boxes: pointer(prompts.boxes),
        has_mask: pointer(prompts.has_mask),
        masks: pointer(prompts.masks),
        ..zeroed()
    })
}

fn masks_to_abi(
    masks: &mut MaskBuffers<'_>,
    prompts: &Prompts<'_>,
    info: &ModelInfo,
) -> Result<abi::sam_mm_backend_masks, BackendError> {
    let objects = prompts.point_counts.len();
    let count = objects.saturating_mul(info.masks_per_object(prompts.multimask) as usize);
    let cells = count.saturating_mul(info.mask_size as usize * info.mask_size as usize);
    let object_scores = masks
        .object_scores
        .as_ref()
        .map_or(objects, |scores| scores.len());
    if masks.logits.len() != cells || masks.scores.len() != count || object_scores != objects {
        return Err(invalid(format!(
            "buffers for {} logits, {} scores and {object_scores} object scores do not suit {objects} objects with \
             {count} masks of {cells} cells together",
            masks.logits.len(),
            masks.scores.len(),
        )));
    }
    Ok(abi::sam_mm_backend_masks {
        logits: masks.logits.as_mut_ptr(),
        scores: masks.scores.as_mut_ptr(),
        object_scores: masks
            .object_scores
            .as_mut()
            .map_or(ptr::null_mut(), |scores| scores.as_mut_ptr()),
        ..zeroed()
    })
}

/// NULL for nothing, as the ABI has it.
fn pointer<T>(values: &[T]) -> *const T {
    if values.is_empty() {
        ptr::null()
    } else {
        values.as_ptr()
    }
}
