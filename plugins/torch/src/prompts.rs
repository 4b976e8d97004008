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
    pub fn tokens(&self, object: &ObjectPrompt<'_>, order: TokenOrder) -> Vec<PromptPoint> {
        let points = object.points.iter().zip(object.labels);
        let points = points.map(|(&point, &label)| self.point(point, kind_of(label)));
        let corners = object.bbox.iter().flat_map(|&[x0, y0, x1, y1]| {
            [
                self.point([x0, y0], PointKind::BoxFirst),
                self.point([x1, y1], PointKind::BoxSecond),
            ]
        });
        let mut tokens: Vec<_> = match order {
            TokenOrder::PointsFirst => points.chain(corners).collect(),
            TokenOrder::BoxFirst => corners.chain(points).collect(),
        };
        let padded = object.bbox.is_none() || order == TokenOrder::BoxFirst;
        if padded && !tokens.is_empty() {
            // As in training, a point that is none closes what counts as points.
            tokens.push(self.point([0.0, 0.0], PointKind::NotAPoint));
        }
        tokens
    }
}

/// How a box joins the points of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOrder {
    /// After them, in place of the padding point (SAM).
    PointsFirst,
    /// Before them, as two points among the others (SAM 2, `SAM2ImagePredictor._predict`).
    BoxFirst,
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

/// Sorts objects, of which `tokens` makes tokens, into batches of at most `at_once`.
pub fn batches(
    objects: &[ObjectPrompt<'_>],
    tokens: impl Fn(&ObjectPrompt<'_>) -> Vec<PromptPoint>,
    at_once: usize,
) -> Vec<Batch> {
    let mut open: BTreeMap<(usize, bool), Batch> = BTreeMap::new();
    let mut full = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let tokens = tokens(object);
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
        kinds_in(object, TokenOrder::PointsFirst)
    }

    fn kinds_in(object: &ObjectPrompt<'_>, order: TokenOrder) -> Vec<PointKind> {
        SCALE
            .tokens(object, order)
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
    fn in_sam_2_a_box_is_two_points_before_the_others_and_the_padding_point_is_always_there() {
        use PointKind::{BoxFirst, BoxSecond, Foreground, NotAPoint};
        let kinds = |object: &ObjectPrompt<'_>| kinds_in(object, TokenOrder::BoxFirst);
        let point = ObjectPrompt {
            points: &[[1.0, 2.0]],
            labels: &[1],
            ..Default::default()
        };
        let bbox = Some([0.0, 0.0, 8.0, 8.0]);
        let (both, boxed) = (
            ObjectPrompt { bbox, ..point },
            ObjectPrompt {
                bbox,
                ..Default::default()
            },
        );
        assert_eq!(kinds(&both), [BoxFirst, BoxSecond, Foreground, NotAPoint]);
        assert_eq!(kinds(&boxed), [BoxFirst, BoxSecond, NotAPoint]);
        assert_eq!(kinds(&point), [Foreground, NotAPoint]);
    }

    #[test]
    fn an_object_without_points_and_box_has_no_tokens() {
        for order in [TokenOrder::PointsFirst, TokenOrder::BoxFirst] {
            assert!(kinds_in(&ObjectPrompt::default(), order).is_empty());
        }
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
        let tokens = |object: &ObjectPrompt<'_>| SCALE.tokens(object, TokenOrder::PointsFirst);
        let made = batches(&objects, tokens, 3);
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
