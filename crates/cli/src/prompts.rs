//! Points and boxes as they are typed.

use std::str::FromStr;

use anyhow::{Result, ensure};

/// A point: x, y and whether it lies in the object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub at: [f32; 2],
    pub label: i32,
}

/// A box: x0, y0, x1, y1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds(pub [f32; 4]);

fn numbers(text: &str) -> Option<Vec<f32>> {
    text.split(',')
        .map(|part| part.trim().parse().ok())
        .collect()
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "X,Y or X,Y,LABEL is wanted, with numbers of pixels, and a label of 1 (in the object) or 0 (outside)";
        match numbers(text).as_deref() {
            Some(&[x, y]) => Ok(Self {
                at: [x, y],
                label: 1,
            }),
            Some(&[x, y, label]) if label == 0.0 || label == 1.0 => Ok(Self {
                at: [x, y],
                label: label as i32,
            }),
            _ => Err(wanted.to_owned()),
        }
    }
}

impl FromStr for Bounds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(&[x0, y0, x1, y1]) = numbers(text).as_deref() else {
            return Err("X0,Y0,X1,Y1 is wanted, with numbers of pixels".to_owned());
        };
        if x0 >= x1 || y0 >= y1 {
            return Err(format!(
                "its corners are in the wrong order: the left upper one comes first, such as {},{},{},{}",
                x0.min(x1),
                y0.min(y1),
                x0.max(x1),
                y0.max(y1)
            ));
        }
        Ok(Self([x0, y0, x1, y1]))
    }
}

/// What one object is pointed at with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    pub points: Vec<[f32; 2]>,
    pub labels: Vec<i32>,
    pub bounds: Option<[f32; 4]>,
}

impl Object {
    /// A single point, or points alone, leave open whether a part or the whole is meant.
    pub fn is_ambiguous(&self) -> bool {
        self.bounds.is_none() && self.points.len() == 1
    }
}

/// Sorts points and boxes into objects: points and one box describe one, several boxes are one each.
///
/// # Errors
/// When there is nothing, or several boxes beside points.
pub fn objects(points: &[Point], boxes: &[Bounds]) -> Result<Vec<Object>> {
    ensure!(
        !points.is_empty() || !boxes.is_empty(),
        "say what to segment, with --point X,Y or --box X0,Y0,X1,Y1"
    );
    ensure!(
        points.is_empty() || boxes.len() <= 1,
        "there are points and {} boxes: points describe one object together with at most one box; leave the points out, or \
         run this once for each object",
        boxes.len()
    );
    if points.is_empty() {
        let boxed = |bounds: &Bounds| Object {
            bounds: Some(bounds.0),
            ..Object::default()
        };
        return Ok(boxes.iter().map(boxed).collect());
    }
    Ok(vec![Object {
        points: points.iter().map(|point| point.at).collect(),
        labels: points.iter().map(|point| point.label).collect(),
        bounds: boxes.first().map(|bounds| bounds.0),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_with_and_without_a_label() {
        let point = |x, y, label| Point { at: [x, y], label };
        assert_eq!("1,2".parse(), Ok(point(1.0, 2.0, 1)));
        assert_eq!(" 1.5 , -2,0".parse(), Ok(point(1.5, -2.0, 0)));
        for wrong in ["", "1", "1,2,3", "1,2,1,", "a,b", "1;2"] {
            assert!(wrong.parse::<Point>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_box_the_wrong_way_round_is_turned_in_the_message() {
        assert_eq!("1,2,3,4".parse(), Ok(Bounds([1.0, 2.0, 3.0, 4.0])));
        let said = "30,40,10,20".parse::<Bounds>().unwrap_err();
        assert!(said.contains("10,20,30,40"), "{said}");
        assert!("1,2,3".parse::<Bounds>().is_err());
        assert!("1,2,NaN,3,4".parse::<Bounds>().is_err());
    }

    #[test]
    fn several_boxes_are_several_objects_and_points_join_one() {
        let (point, bounds) = ("5,5".parse().unwrap(), "1,2,9,9".parse().unwrap());
        assert_eq!(objects(&[point], &[bounds]).unwrap().len(), 1);
        assert_eq!(objects(&[], &[bounds, bounds]).unwrap().len(), 2);
        assert!(objects(&[point], &[bounds, bounds]).is_err());
        assert!(objects(&[], &[]).is_err());
        assert!(objects(&[point], &[]).unwrap()[0].is_ambiguous());
    }
}
