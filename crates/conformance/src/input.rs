//! Images, prompts and places for masks, as a host would make them.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use sam_mm_backend_abi::abi::{
    sam_mm_backend_masks, sam_mm_backend_pixels, sam_mm_backend_prompts,
};
use sam_mm_backend_abi::layout::zeroed;
use sam_mm_backend_abi::types::{Element, ModelInfo};

/// A struct of the border that points into something which it keeps borrowed.
pub struct Wire<'a, T> {
    wire: T,
    _points_into: PhantomData<&'a ()>,
}

impl<T> Wire<'_, T> {
    /// Ties a struct to what it points into.
    pub fn new<Owner: ?Sized>(_owner: &Owner, wire: T) -> Wire<'_, T> {
        Wire {
            wire,
            _points_into: PhantomData,
        }
    }
}

impl<T> Deref for Wire<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.wire
    }
}

impl<T> DerefMut for Wire<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.wire
    }
}

/// An image of a smooth pattern, which `seed` moves.
pub struct Image {
    /// What `wire` points to, in either element.
    _elements: (Vec<u8>, Vec<f32>),
    wire: sam_mm_backend_pixels,
}

impl Image {
    /// `width × height` pixels, `padding` elements after each row, of an original twice that size.
    pub fn new(info: &ModelInfo, width: u32, height: u32, padding: usize, seed: u32) -> Self {
        let row = 3 * width as usize + padding;
        let value = |index: usize| {
            let (y, column) = (index / row, index % row);
            if column >= 3 * width as usize {
                // Padding that a plugin must not look at: it differs with the amount of it.
                return (index * 7 + padding) as u8;
            }
            let (x, channel) = (column / 3, column % 3);
            let phase = f64::from(seed) + channel as f64;
            let wave = (x as f64 * 0.11 + phase).sin() * (y as f64 * 0.07 + phase * 0.5).cos();
            (127.5 + 120.0 * wave) as u8
        };
        let len = row * height as usize;
        let bytes: Vec<u8> = (0..len).map(value).collect();
        let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let mut wire: sam_mm_backend_pixels = zeroed();
        wire.element = info.input_element.to_abi();
        wire.width = width;
        wire.height = height;
        wire.original_width = 2 * width;
        wire.original_height = 2 * height;
        (wire.row_stride, wire.data) = match info.input_element {
            Element::U8 => (row as u64, bytes.as_ptr().cast()),
            Element::F32 => (4 * row as u64, floats.as_ptr().cast()),
        };
        Self {
            _elements: (bytes, floats),
            wire,
        }
    }

    /// The struct of the border.
    pub fn wire(&self) -> Wire<'_, sam_mm_backend_pixels> {
        Wire::new(self, self.wire)
    }
}

/// The prompts of one object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// x, y and label of each point.
    pub points: Vec<(f32, f32, i32)>,
    /// x0, y0, x1, y1.
    pub bbox: Option<[f32; 4]>,
    /// Logits, `mask_size²`.
    pub mask: Option<Vec<f32>>,
}

impl Object {
    /// One foreground click.
    pub fn click(x: f32, y: f32) -> Self {
        Self {
            points: vec![(x, y, 1)],
            ..Self::default()
        }
    }
}

/// The prompts of one call.
#[derive(Clone, Debug)]
pub struct Prompts {
    pub multimask: bool,
    pub counts: Vec<u32>,
    pub points: Vec<f32>,
    pub labels: Vec<i32>,
    pub has_box: Vec<u8>,
    pub boxes: Vec<f32>,
    pub has_mask: Vec<u8>,
    pub masks: Vec<f32>,
}

impl Prompts {
    /// Lays objects out as the ABI wants them.
    pub fn new(info: &ModelInfo, objects: &[Object], multimask: bool) -> Self {
        let cells = cells(info);
        let mut all = Self {
            multimask,
            counts: Vec::new(),
            points: Vec::new(),
            labels: Vec::new(),
            has_box: Vec::new(),
            boxes: Vec::new(),
            has_mask: Vec::new(),
            masks: Vec::new(),
        };
        let any_mask = objects.iter().any(|object| object.mask.is_some());
        for object in objects {
            all.counts.push(object.points.len() as u32);
            for &(x, y, label) in &object.points {
                all.points.extend([x, y]);
                all.labels.push(label);
            }
            all.has_box.push(object.bbox.is_some().into());
            // Where there is no box the ABI says that nobody looks.
            all.boxes.extend(object.bbox.unwrap_or([f32::NAN; 4]));
            all.has_mask.push(object.mask.is_some().into());
            if any_mask {
                all.masks
                    .extend(object.mask.clone().unwrap_or_else(|| vec![f32::NAN; cells]));
            }
        }
        all
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.counts.len()
    }

    /// The struct of the border.
    pub fn wire(&self) -> Wire<'_, sam_mm_backend_prompts> {
        let given = |has: &[u8]| has.contains(&1);
        let mut wire: sam_mm_backend_prompts = zeroed();
        wire.num_objects = self.counts.len() as u32;
        wire.multimask = self.multimask.into();
        if !self.labels.is_empty() {
            wire.point_counts = self.counts.as_ptr();
            wire.points = self.points.as_ptr();
            wire.labels = self.labels.as_ptr();
        }
        if given(&self.has_box) {
            wire.has_box = self.has_box.as_ptr();
            wire.boxes = self.boxes.as_ptr();
        }
        if given(&self.has_mask) {
            wire.has_mask = self.has_mask.as_ptr();
            wire.masks = self.masks.as_ptr();
        }
        Wire::new(self, wire)
    }
}

/// Cells of one mask.
pub fn cells(info: &ModelInfo) -> usize {
    info.mask_size as usize * info.mask_size as usize
}

/// Elements before and after a buffer that nobody may touch.
const MARGIN: usize = 64;
/// A NaN that no computation makes by chance.
const UNTOUCHED: u32 = 0x7fc0_beef;

/// Places for masks, between margins that show when somebody writes too much.
pub struct Output {
    logits: Vec<f32>,
    scores: Vec<f32>,
    object_scores: Vec<f32>,
}

/// Masks that a decode made.
#[derive(Clone, Debug, PartialEq)]
pub struct Masks {
    pub logits: Vec<f32>,
    pub scores: Vec<f32>,
}

impl Output {
    /// Places for what these prompts ask for.
    pub fn new(info: &ModelInfo, prompts: &Prompts) -> Self {
        let masks = prompts.objects() * info.masks_per_object(prompts.multimask) as usize;
        let place = |len: usize| vec![f32::from_bits(UNTOUCHED); len + 2 * MARGIN];
        Self {
            logits: place(masks * cells(info)),
            scores: place(masks),
            object_scores: place(prompts.objects()),
        }
    }

    /// The struct of the border.
    pub fn wire(&mut self) -> Wire<'_, sam_mm_backend_masks> {
        let inside = |place: &mut [f32]| place[MARGIN..].as_mut_ptr();
        let mut wire: sam_mm_backend_masks = zeroed();
        wire.logits = inside(&mut self.logits);
        wire.scores = inside(&mut self.scores);
        wire.object_scores = inside(&mut self.object_scores);
        Wire::new(self, wire)
    }

    /// The masks, when every element was written, finitely, and nothing beside them.
    pub fn masks(&self) -> Result<Masks, String> {
        let places = [
            ("logits", &self.logits),
            ("scores", &self.scores),
            ("object_scores", &self.object_scores),
        ];
        for (name, place) in places {
            let untouched = |value: &f32| value.to_bits() == UNTOUCHED;
            let (before, rest) = place.split_at(MARGIN);
            let (inside, after) = rest.split_at(rest.len() - MARGIN);
            if !before.iter().chain(after).all(untouched) {
                return Err(format!("something was written outside of {name}"));
            }
            // A model without object scores leaves them alone.
            let left_alone = name == "object_scores" && inside.iter().all(untouched);
            if let Some(at) = inside
                .iter()
                .position(|value| !value.is_finite())
                .filter(|_| !left_alone)
            {
                let what = if untouched(&inside[at]) {
                    "was not written"
                } else {
                    "is not finite"
                };
                return Err(format!("element {at} of {name} {what}"));
            }
        }
        let inside = |place: &[f32]| place[MARGIN..place.len() - MARGIN].to_vec();
        Ok(Masks {
            logits: inside(&self.logits),
            scores: inside(&self.scores),
        })
    }
}

impl Masks {
    /// The masks of one of `objects` objects.
    pub fn of_object(&self, object: usize, objects: usize) -> Self {
        let part = |values: &[f32]| {
            let each = values.len() / objects;
            values[object * each..][..each].to_vec()
        };
        Self {
            logits: part(&self.logits),
            scores: part(&self.scores),
        }
    }

    /// The largest difference of a logit, and of a score.
    pub fn distance(&self, other: &Self) -> (f32, f32) {
        let largest = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        };
        (
            largest(&self.logits, &other.logits),
            largest(&self.scores, &other.scores),
        )
    }
}
