//! Non-maximum suppression, with torchvision's arithmetic: equal scores and equal overlaps are decided as there
//! (`torchvision/csrc/ops/cpu/nms_kernel.cpp`).

use std::cmp::Ordering;

/// Which boxes stay, the highest score first and of equal scores the first one given. A box goes when its IoU with one
/// that stays is above `threshold`. Corners are x0, y0, x1, y1; a box is as wide as `x1 − x0`, so one around a single column
/// of pixels, whose x0 and x1 are the same, has no area and neither goes nor makes another go.
pub(super) fn suppress(boxes: &[[f32; 4]], scores: &[f32], threshold: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap_or(Ordering::Equal));
    let areas: Vec<f32> = boxes
        .iter()
        .map(|[x0, y0, x1, y1]| (x1 - x0) * (y1 - y0))
        .collect();
    let mut gone = vec![false; boxes.len()];
    let mut kept = Vec::new();
    for (rank, &index) in order.iter().enumerate() {
        if gone[index] {
            continue;
        }
        kept.push(index);
        for &other in &order[rank + 1..] {
            let shared = intersection(&boxes[index], &boxes[other]);
            let iou = shared / (areas[index] + areas[other] - shared);
            gone[other] |= f64::from(iou) > threshold;
        }
    }
    kept
}

fn intersection(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    width * height
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_scores_the_first_one_given_stays_and_comes_first() {
        let same = [0.0, 0.0, 9.0, 9.0];
        let apart = [50.0, 50.0, 59.0, 59.0];
        assert_eq!(suppress(&[apart, same, same], &[0.5; 3], 0.7), [0, 1]);
        assert_eq!(
            suppress(&[same, apart, same], &[0.5, 0.5, 0.6], 0.7),
            [2, 1]
        );
    }

    #[test]
    fn an_overlap_of_just_the_threshold_stays() {
        // IoU 1/2: ten by ten, and its half.
        let boxes = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]];
        assert_eq!(suppress(&boxes, &[0.9, 0.8], 0.5), [0, 1]);
        assert_eq!(suppress(&boxes, &[0.9, 0.8], 0.499), [0]);
    }

    #[test]
    fn what_was_suppressed_suppresses_nobody() {
        let at = |x: f32| [x, 0.0, x + 10.0, 10.0];
        // Each overlaps the next with an IoU of 2/3, the one after that with 3/7.
        let boxes = [at(0.0), at(2.0), at(4.0)];
        assert_eq!(suppress(&boxes, &[0.9, 0.8, 0.7], 0.5), [0, 2]);
    }

    #[test]
    fn boxes_without_area_neither_go_nor_make_others_go() {
        let line = [3.0, 0.0, 3.0, 10.0];
        assert_eq!(suppress(&[line, line], &[0.9, 0.9], 0.0), [0, 1]);
    }
}
