//! Prompts to tokens, and objects to batches.

use std::collections::BTreeMap;

use sam_mm_backend_abi::sdk::ObjectPrompt;

use crate::prompt_encoder::{PointKind, PromptPoint};

/// How pixels of the original image become pixels of the model's input: each axis has its own factor, because the
/// sides of the resized image are whole numbers (`ResizeLongestSide.apply_coords`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoordinateScale {
    x: f64,
    y: f64,
}

impl CoordinateScale {
    /// From the sizes of the image, `(width, height)` each.
    pub fn new(original: (u32, u32), resized: (u32, u32)) -> Self {
        Self {
            x: f64::from(resized.0) / f64::from(original.0),
            y: f64::from(resized.1) / f64::from(original.1),
        }
    }

    fn point(&self, [x, y]: [f32; 2], kind: PointKind) -> PromptPoint {
        PromptPoint {
            x: (f64::from(x) * self.x) as f32,
            y: (f64::from(y) * self.y) as f32,
            kind,
        }
    }

    /// The tokens of an object's points and box, in the order of the official code.
    pub fn tokens(&self, object: &ObjectPrompt<'_>) -> Vec<PromptPoint> {
        let points = object.points.iter().zip(object.labels);
        let mut tokens: Vec<_> = points
            .map(|(&point, &label)| self.point(point, kind_of(label)))
            .collect();
        if let Some([x0, y0, x1, y1]) = object.bbox {
            tokens.push(self.point([x0, y0], PointKind::BoxFirst));
            tokens.push(self.point([x1, y1], PointKind::BoxSecond));
        } else if !tokens.is_empty() {
            // Points without a box are closed by a point that is none, as in training.
            tokens.push(self.point([0.0, 0.0], PointKind::NotAPoint));
        }
        tokens
    }
}

fn kind_of(label: i32) -> PointKind {
    match label {
        0 => PointKind::Background,
        1 => PointKind::Foreground,
        _ => PointKind::NotAPoint,
    }
}

/// Objects that can be decoded together: equally many tokens, and either all with a mask input or none. Filling up
/// with points that are none is no way to make shapes equal, because such points take part in attention.
#[derive(Default)]
pub struct Batch {
    /// Which of the prompts' objects.
    pub objects: Vec<usize>,
    /// The tokens of each.
    pub tokens: Vec<Vec<PromptPoint>>,
    /// Whether they have mask inputs.
    pub has_mask: bool,
}

/// Sorts objects into batches of at most `at_once`.
pub fn batches(objects: &[ObjectPrompt<'_>], scale: CoordinateScale, at_once: usize) -> Vec<Batch> {
    let mut open: BTreeMap<(usize, bool), Batch> = BTreeMap::new();
    let mut full = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let tokens = scale.tokens(object);
        let has_mask = object.mask.is_some();
        let batch = open.entry((tokens.len(), has_mask)).or_default();
        batch.has_mask = has_mask;
        batch.objects.push(index);
        batch.tokens.push(tokens);
        if batch.objects.len() >= at_once {
            full.push(std::mem::take(batch));
        }
    }
    full.extend(open.into_values().filter(|batch| !batch.objects.is_empty()));
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: CoordinateScale = CoordinateScale { x: 2.0, y: 0.5 };

    fn kinds(object: &ObjectPrompt<'_>) -> Vec<PointKind> {
        SCALE
            .tokens(object)
            .iter()
            .map(|token| token.kind)
            .collect()
    }

    #[test]
    fn each_axis_scales_by_its_own_factor_and_stays_a_fraction() {
        let scale = CoordinateScale::new((300, 211), (96, 68));
        let token = scale.point([100.5, 50.25], PointKind::Foreground);
        assert_eq!((token.x, token.y), (32.16, 16.194_313));
    }

    #[test]
    fn points_without_a_box_end_with_a_point_that_is_none() {
        let object = ObjectPrompt {
            points: &[[1.0, 2.0], [3.0, 4.0]],
            labels: &[1, 0],
            ..Default::default()
        };
        use PointKind::{Background, Foreground, NotAPoint};
        assert_eq!(kinds(&object), [Foreground, Background, NotAPoint]);
    }

    #[test]
    fn a_box_takes_the_place_of_the_padding_point() {
        let object = ObjectPrompt {
            points: &[[1.0, 2.0]],
            labels: &[-1],
            bbox: Some([0.0, 0.0, 8.0, 8.0]),
            ..Default::default()
        };
        use PointKind::{BoxFirst, BoxSecond, NotAPoint};
        assert_eq!(kinds(&object), [NotAPoint, BoxFirst, BoxSecond]);
    }

    #[test]
    fn an_object_without_points_and_box_has_no_tokens() {
        assert!(kinds(&ObjectPrompt::default()).is_empty());
    }

    #[test]
    fn objects_of_one_shape_share_a_batch_and_keep_their_numbers() {
        let point = ObjectPrompt {
            points: &[[1.0, 2.0]],
            labels: &[1],
            ..Default::default()
        };
        let boxed = ObjectPrompt {
            bbox: Some([0.0, 0.0, 8.0, 8.0]),
            ..Default::default()
        };
        let masked = ObjectPrompt {
            mask: Some(&[]),
            ..point
        };
        let two_points = ObjectPrompt {
            points: &[[1.0, 2.0], [5.0, 5.0]],
            labels: &[1, 0],
            ..Default::default()
        };
        let objects = [point, two_points, boxed, masked, point, point];
        let made = batches(&objects, SCALE, 3);
        let numbers: Vec<_> = made
            .iter()
            .map(|b| (b.objects.as_slice(), b.has_mask))
            .collect();
        assert_eq!(
            numbers,
            [
                (&[0, 2, 4][..], false),
                (&[5], false),
                (&[3], true),
                (&[1], false)
            ]
        );
    }
}
