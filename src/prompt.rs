//! Prompts: what a caller points at, checked and laid out as the backend takes it.

use thiserror::Error;
use xxhash_rust::xxh3::Xxh3Default;

/// Most objects one call may ask for; each costs up to `3 × mask_size²` floats of logits (0.8 MB for SAM).
pub const MAX_OBJECTS: usize = 1024;

/// Most points of one object. SAM was trained with at most a few dozen; far more is a mistake of the caller.
pub const MAX_POINTS: usize = 4096;

/// Largest magnitude of a mask input's values. Logits of a model are some tens; squares of far larger values than this
/// overflow in its first normalisation, and the answer would be no number.
pub const MAX_MASK_LOGIT: f32 = 1e6;

/// What one object is pointed at with; at least one of the parts is there. Coordinates are pixels of the original
/// image: (0, 0) is the outer corner of the first pixel, (width, height) that of the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prompt<'a> {
    /// x and y of each point.
    pub points: &'a [[f32; 2]],
    /// 1 for foreground, 0 for background; one per point.
    pub labels: &'a [i32],
    /// x0, y0, x1, y1 with x0 < x1 and y0 < y1.
    pub bounding_box: Option<[f32; 4]>,
    /// Low-resolution logits of an earlier result, `mask_size²` values of at most ±[`MAX_MASK_LOGIT`], row by row.
    pub mask_input: Option<&'a [f32]>,
}

/// A prompt that cannot be used. Prompts, points and values are counted from 0; the messages name every value.
#[allow(missing_docs)]
#[derive(Debug, Error, Clone, PartialEq)]
pub enum PromptError {
    #[error("there are no prompts: give at least one point, box or mask input")]
    None,
    #[error(
        "{given} objects are asked for in one call, {MAX_OBJECTS} are the most; split the call"
    )]
    TooManyObjects { given: usize },
    #[error("prompt {prompt} is empty: give it a point, a box or a mask input")]
    Empty { prompt: usize },
    #[error("prompt {prompt} has {given} points, {MAX_POINTS} are the most")]
    TooManyPoints { prompt: usize, given: usize },
    #[error("prompt {prompt} has {points} points but {labels} labels")]
    LabelCount {
        prompt: usize,
        points: usize,
        labels: usize,
    },
    #[error(
        "label {label} of point {point} in prompt {prompt} is neither 1 (foreground) nor 0 (background)"
    )]
    Label {
        prompt: usize,
        point: usize,
        label: i32,
    },
    #[error(
        "{axis} = {value} of {place} in prompt {prompt} is not a number within the image (0 to {limit})"
    )]
    Coordinate {
        prompt: usize,
        place: String,
        axis: char,
        value: f32,
        limit: u32,
    },
    #[error("the box [{}, {}, {}, {}] in prompt {prompt} is inside out: x0 must not exceed x1, nor y0 exceed y1",
        .corners[0], .corners[1], .corners[2], .corners[3])]
    BoxOrder { prompt: usize, corners: [f32; 4] },
    #[error("the box [{}, {}, {}, {}] in prompt {prompt} has no area: give it a width and a height, or give a point instead",
        .corners[0], .corners[1], .corners[2], .corners[3])]
    BoxEmpty { prompt: usize, corners: [f32; 4] },
    #[error("the mask input of prompt {prompt} has {given} values, {side} × {side} = {} are needed: the logits of an \
        earlier result of the same model", .side * .side)]
    MaskSize {
        prompt: usize,
        given: usize,
        side: usize,
    },
    #[error(
        "value {index} of the mask input of prompt {prompt} is {value}; logits lie within -{MAX_MASK_LOGIT} and \
        {MAX_MASK_LOGIT}"
    )]
    MaskValue {
        prompt: usize,
        index: usize,
        value: f32,
    },
}

/// Checked prompts of one call, one array per part, object after object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompts {
    /// Several masks per object, or one.
    pub multimask: bool,
    /// `[objects]`
    pub point_counts: Vec<u32>,
    /// `[points][2]`
    pub points: Vec<f32>,
    /// `[points]`
    pub labels: Vec<i32>,
    /// `[objects]` 1 where there is a box.
    pub has_box: Vec<u8>,
    /// `[objects][4]`, zeros where there is none.
    pub boxes: Vec<f32>,
    /// `[objects]` 1 where there is a mask input.
    pub has_mask: Vec<u8>,
    /// `[objects][mask_size²]`, zeros where there is none; empty when no object has one.
    pub masks: Vec<f32>,
}

impl Prompts {
    /// Checks prompts against the image they are for (`width` × `height` pixels) and the model's `mask_size`.
    pub fn check(
        prompts: &[Prompt<'_>],
        multimask: bool,
        (width, height): (u32, u32),
        mask_size: usize,
    ) -> Result<Self, PromptError> {
        if prompts.is_empty() {
            return Err(PromptError::None);
        }
        if prompts.len() > MAX_OBJECTS {
            return Err(PromptError::TooManyObjects {
                given: prompts.len(),
            });
        }
        let mut checked = Self {
            multimask,
            ..Self::default()
        };
        let any_mask = prompts.iter().any(|prompt| prompt.mask_input.is_some());
        for (index, prompt) in prompts.iter().enumerate() {
            if prompt.points.is_empty()
                && prompt.bounding_box.is_none()
                && prompt.mask_input.is_none()
            {
                return Err(PromptError::Empty { prompt: index });
            }
            checked.push_points(index, prompt, (width, height))?;
            checked.push_box(index, prompt.bounding_box, (width, height))?;
            checked.push_mask(index, prompt.mask_input, any_mask, mask_size)?;
        }
        Ok(checked)
    }

    /// How many objects are asked for.
    pub fn num_objects(&self) -> usize {
        self.point_counts.len()
    }

    /// Everything but `multimask` in one form for all prompts that mean the same, and another for all others.
    ///
    /// Objects keep their order, which is that of the result. The points of an object lose theirs: to the models they are
    /// a set of tokens that attend to one another, with no position in a sequence, so that another order changes the sums'
    /// rounding and nothing else. Points given twice stay twice. Floats count by their bits, −0 as 0; a mask input counts
    /// by a hash of 128 bits.
    pub fn canonical(&self) -> Box<[u32]> {
        let (points, _) = self.points.as_chunks::<2>();
        let (boxes, _) = self.boxes.as_chunks::<4>();
        let objects = self.num_objects();
        let mut words = Vec::with_capacity(11 * objects + 3 * points.len());
        let mut points = points.iter().zip(&self.labels);
        for (object, corners) in boxes.iter().enumerate() {
            words.push(self.point_counts[object]);
            let first = words.len();
            for (&[x, y], &label) in points.by_ref().take(self.point_counts[object] as usize) {
                words.extend([bits(x), bits(y), label.cast_unsigned()]);
            }
            words[first..].as_chunks_mut::<3>().0.sort_unstable();
            words.push(self.has_box[object].into());
            if self.has_box[object] != 0 {
                words.extend(corners.map(bits));
            }
            words.push(self.has_mask[object].into());
            if self.has_mask[object] != 0 {
                let side = self.masks.len() / objects;
                words.extend(hash(&self.masks[object * side..][..side]));
            }
        }
        words.into_boxed_slice()
    }

    fn push_points(
        &mut self,
        prompt: usize,
        given: &Prompt<'_>,
        size: (u32, u32),
    ) -> Result<(), PromptError> {
        let count = given.points.len();
        if count > MAX_POINTS {
            return Err(PromptError::TooManyPoints {
                prompt,
                given: count,
            });
        }
        if given.labels.len() != count {
            return Err(PromptError::LabelCount {
                prompt,
                points: count,
                labels: given.labels.len(),
            });
        }
        for (point, (&xy, &label)) in given.points.iter().zip(given.labels).enumerate() {
            check_corner(prompt, || format!("point {point}"), xy, size)?;
            if label != 0 && label != 1 {
                return Err(PromptError::Label {
                    prompt,
                    point,
                    label,
                });
            }
        }
        self.point_counts.push(count as u32);
        self.points.extend_from_slice(given.points.as_flattened());
        self.labels.extend_from_slice(given.labels);
        Ok(())
    }

    fn push_box(
        &mut self,
        prompt: usize,
        given: Option<[f32; 4]>,
        size: (u32, u32),
    ) -> Result<(), PromptError> {
        if let Some(corners @ [x0, y0, x1, y1]) = given {
            check_corner(prompt, || "the box's first corner".into(), [x0, y0], size)?;
            check_corner(prompt, || "the box's second corner".into(), [x1, y1], size)?;
            if x0 > x1 || y0 > y1 {
                return Err(PromptError::BoxOrder { prompt, corners });
            }
            if x0 == x1 || y0 == y1 {
                return Err(PromptError::BoxEmpty { prompt, corners });
            }
        }
        self.has_box.push(given.is_some().into());
        self.boxes.extend(given.unwrap_or_default());
        Ok(())
    }

    fn push_mask(
        &mut self,
        prompt: usize,
        given: Option<&[f32]>,
        any_mask: bool,
        side: usize,
    ) -> Result<(), PromptError> {
        if let Some(logits) = given {
            if logits.len() != side * side {
                return Err(PromptError::MaskSize {
                    prompt,
                    given: logits.len(),
                    side,
                });
            }
            // Written so that NaN is refused too.
            let usable = |value: &f32| value.abs() <= MAX_MASK_LOGIT;
            if let Some(index) = logits.iter().position(|value| !usable(value)) {
                return Err(PromptError::MaskValue {
                    prompt,
                    index,
                    value: logits[index],
                });
            }
            self.masks.extend_from_slice(logits);
        } else if any_mask {
            self.masks.resize(self.masks.len() + side * side, 0.0);
        }
        self.has_mask.push(given.is_some().into());
        Ok(())
    }
}

/// The bits of a float, in which −0 is 0.
fn bits(value: f32) -> u32 {
    (value + 0.0).to_bits()
}

fn hash(values: &[f32]) -> [u32; 4] {
    const CHUNK: usize = 256;
    let mut xxh3 = Xxh3Default::new();
    for chunk in values.chunks(CHUNK) {
        let mut words = [0; CHUNK];
        for (word, &value) in words.iter_mut().zip(chunk) {
            *word = bits(value);
        }
        xxh3.update(bytemuck::cast_slice(&words[..chunk.len()]));
    }
    bytemuck::cast(xxh3.digest128())
}

fn check_corner(
    prompt: usize,
    place: impl Fn() -> String,
    [x, y]: [f32; 2],
    (width, height): (u32, u32),
) -> Result<(), PromptError> {
    for (axis, value, limit) in [('x', x, width), ('y', y, height)] {
        // Written so that NaN is refused too.
        if !(value >= 0.0 && value <= limit as f32) {
            return Err(PromptError::Coordinate {
                prompt,
                place: place(),
                axis,
                value,
                limit,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: (u32, u32) = (640, 480);
    const SIDE: usize = 4;

    fn click(xy: &[[f32; 2]]) -> Prompt<'_> {
        Prompt {
            points: xy,
            labels: &[1, 1, 1][..xy.len()],
            ..Prompt::default()
        }
    }

    fn refusal(prompt: Prompt<'_>) -> PromptError {
        Prompts::check(&[click(&[[1.0, 1.0]]), prompt], true, SIZE, SIDE).unwrap_err()
    }

    #[test]
    fn parts_of_all_objects_are_laid_out_one_after_the_other() {
        let logits = [0.5; SIDE * SIDE];
        let prompts = [
            click(&[[1.0, 2.0], [3.0, 4.0]]),
            Prompt {
                bounding_box: Some([0.0, 0.0, 640.0, 480.0]),
                mask_input: Some(&logits),
                ..Prompt::default()
            },
        ];
        let checked = Prompts::check(&prompts, false, SIZE, SIDE).unwrap();
        assert_eq!(checked.num_objects(), 2);
        assert_eq!(checked.point_counts, [2, 0]);
        assert_eq!(checked.points, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            (checked.has_box, checked.has_mask),
            (vec![0, 1], vec![0, 1])
        );
        assert_eq!(checked.boxes, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 640.0, 480.0]);
        assert_eq!(checked.masks, [[0.0; 16], [0.5; 16]].concat());
    }

    #[test]
    fn a_coordinate_that_is_no_number_or_outside_is_refused_with_its_value() {
        for bad in [f32::NAN, f32::INFINITY, -0.5, 640.5] {
            let message = refusal(click(&[[1.0, 1.0], [bad, 5.0]])).to_string();
            assert!(
                message.contains(&format!("x = {bad}")) && message.contains("point 1"),
                "{message}"
            );
            assert!(
                message.contains("prompt 1") && message.contains("640"),
                "{message}"
            );
        }
        let outside = Prompt {
            bounding_box: Some([0.0, 0.0, 10.0, 481.0]),
            ..Prompt::default()
        };
        assert!(refusal(outside).to_string().contains("y = 481"));
    }

    #[test]
    fn malformed_prompts_are_refused() {
        let inside_out = Prompt {
            bounding_box: Some([9.0, 0.0, 5.0, 5.0]),
            ..Prompt::default()
        };
        assert!(matches!(
            refusal(inside_out),
            PromptError::BoxOrder { prompt: 1, .. }
        ));
        let wrong_label = Prompt {
            points: &[[1.0, 1.0]],
            labels: &[2],
            ..Prompt::default()
        };
        assert!(matches!(
            refusal(wrong_label),
            PromptError::Label { label: 2, .. }
        ));
        let missing_label = Prompt {
            points: &[[1.0, 1.0]],
            labels: &[],
            ..Prompt::default()
        };
        assert!(matches!(
            refusal(missing_label),
            PromptError::LabelCount {
                points: 1,
                labels: 0,
                ..
            }
        ));
        let short_mask = Prompt {
            mask_input: Some(&[0.0; 15]),
            ..Prompt::default()
        };
        assert!(matches!(
            refusal(short_mask),
            PromptError::MaskSize {
                given: 15,
                side: SIDE,
                ..
            }
        ));
        assert_eq!(refusal(Prompt::default()), PromptError::Empty { prompt: 1 });
    }

    /// A click where a drag was meant.
    #[test]
    fn a_box_without_area_is_refused_with_its_corners() {
        for corners in [
            [7.0, 8.0, 7.0, 8.0],
            [7.0, 8.0, 7.0, 20.0],
            [7.0, 8.0, 20.0, 8.0],
        ] {
            let prompt = Prompt {
                bounding_box: Some(corners),
                ..Prompt::default()
            };
            let said = refusal(prompt).to_string();
            assert!(said.contains("the box [7, 8, "), "{said}");
            assert!(said.contains("no area"), "{said}");
        }
    }

    fn canonical(prompts: &[Prompt<'_>]) -> Box<[u32]> {
        Prompts::check(prompts, true, SIZE, SIDE)
            .unwrap()
            .canonical()
    }

    fn points<'a>(points: &'a [[f32; 2]], labels: &'a [i32]) -> Prompt<'a> {
        Prompt {
            points,
            labels,
            ..Prompt::default()
        }
    }

    #[test]
    fn prompts_that_mean_the_same_have_one_canonical_form() {
        let one = [points(&[[1.0, 2.0], [3.0, 0.0], [1.0, 2.0]], &[1, 0, 1])];
        let same = [points(&[[3.0, -0.0], [1.0, 2.0], [1.0, 2.0]], &[0, 1, 1])];
        assert_eq!(canonical(&one), canonical(&same));
        let (zeros, negative_zeros) = ([0.0; SIDE * SIDE], [-0.0; SIDE * SIDE]);
        let mask = |logits| {
            canonical(&[Prompt {
                mask_input: Some(logits),
                ..Prompt::default()
            }])
        };
        assert_eq!(mask(&zeros), mask(&negative_zeros));
    }

    #[test]
    fn defect_7_every_difference_in_a_prompt_shows_in_its_canonical_form() {
        let (ones, mut other) = ([1.0; SIDE * SIDE], [1.0; SIDE * SIDE]);
        other[7] = 1.5;
        let (a, b): (&[_], &[_]) = (&[[1.0, 2.0]], &[[3.0, 4.0]]);
        let boxed = |prompt: Prompt<'static>, corners| Prompt {
            bounding_box: Some(corners),
            ..prompt
        };
        let masked = |logits| Prompt {
            mask_input: Some(logits),
            ..Prompt::default()
        };
        let corners = [1.0, 2.0, 3.0, 4.0];
        let both: &[_] = &[[1.0, 2.0], [3.0, 4.0]];
        let forms = [
            canonical(&[points(a, &[1])]),
            canonical(&[points(a, &[0])]),
            canonical(&[points(b, &[1])]),
            canonical(&[points(&[[2.0, 1.0]], &[1])]),
            canonical(&[points(both, &[1, 1])]),
            canonical(&[points(both, &[1, 0])]),
            canonical(&[points(both, &[0, 1])]),
            canonical(&[points(a, &[1]), points(b, &[1])]),
            canonical(&[points(b, &[1]), points(a, &[1])]),
            canonical(&[points(&[[1.0, 2.0], [1.0, 2.0]], &[1, 1])]),
            canonical(&[boxed(Prompt::default(), corners)]),
            canonical(&[boxed(Prompt::default(), [1.0, 2.0, 3.0, 5.0])]),
            canonical(&[boxed(points(a, &[1]), corners)]),
            canonical(&[masked(&ones)]),
            canonical(&[masked(&other)]),
            canonical(&[Prompt {
                mask_input: Some(&ones),
                ..boxed(Prompt::default(), corners)
            }]),
        ];
        for (at, form) in forms.iter().enumerate() {
            assert!(!forms[..at].contains(form), "form {at}: {form:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_points_does_not_show_and_every_changed_point_does(
            given in proptest::collection::vec((0..640_u16, 0..480_u16, 0..2_i32), 1..9),
            turn in 0..9_usize, at in any::<prop::sample::Index>(),
        ) {
            let form = |given: &[(u16, u16, i32)]| {
                let xy: Vec<_> = given.iter().map(|&(x, y, _)| [f32::from(x), f32::from(y)]).collect();
                let labels: Vec<_> = given.iter().map(|&(_, _, label)| label).collect();
                canonical(&[points(&xy, &labels)])
            };
            let mut turned = given.clone();
            turned.rotate_left(turn % given.len());
            prop_assert_eq!(form(&turned), form(&given));
            let at = at.index(given.len());
            turned[at].2 = 1 - turned[at].2;
            prop_assert_ne!(form(&turned), form(&given));
        }
    }

    #[test]
    fn mask_values_that_no_model_could_compute_with_are_refused_with_the_value() {
        for bad in [f32::NAN, f32::NEG_INFINITY, 1e20, -1.1e6] {
            let mut logits = [1e6, -1e6].repeat(SIDE * SIDE / 2);
            logits[5] = bad;
            let prompt = Prompt {
                mask_input: Some(&logits),
                ..Prompt::default()
            };
            let said = refusal(prompt).to_string();
            assert!(
                said.contains(&format!("value 5 of the mask input of prompt 1 is {bad};")),
                "{said}"
            );
            assert!(said.contains("1000000"), "{said}");
        }
    }

    #[test]
    fn no_prompts_and_too_many_are_refused() {
        assert_eq!(
            Prompts::check(&[], true, SIZE, SIDE),
            Err(PromptError::None)
        );
        let many = vec![click(&[[1.0, 1.0]]); MAX_OBJECTS + 1];
        assert!(matches!(
            Prompts::check(&many, true, SIZE, SIDE),
            Err(PromptError::TooManyObjects { .. })
        ));
    }
}
