//! The images that are coming.

use std::sync::{Arc, Weak};

use crate::image::Image;
use crate::model::Model;

/// An image that a model will be asked about.
#[derive(Clone)]
pub struct Item {
    /// The model; that it is waited for keeps it alive no longer.
    pub model: Weak<Model>,
    /// Its number.
    pub model_id: u64,
    /// The number of the image.
    pub image_id: u64,
    /// Its pixels, which are held until it is encoded.
    pub pixels: Arc<Image>,
    /// The larger the sooner.
    pub priority: i32,
    /// Among equals the smaller is the sooner.
    pub number: u64,
}

impl Item {
    /// Whether the two would be encoded to the same.
    pub fn is_about_the_same(&self, model: u64, image: u64, pixels: &Image) -> bool {
        let keyed = || self.pixels.has_key() && pixels.has_key();
        self.model_id == model
            && (self.image_id == image || (keyed() && self.pixels.key() == pixels.key()))
    }
}

/// Images in the order of their priority, and within one in that of their arrival.
#[derive(Default)]
pub struct Queue(Vec<Item>);

impl Queue {
    /// Adds an image, or gives the one that is there another priority. Tells whether it was new.
    pub fn add(&mut self, item: Item) -> bool {
        let (model, image) = (item.model_id, item.image_id);
        let known = self
            .0
            .iter_mut()
            .find(|known| known.is_about_the_same(model, image, &item.pixels));
        match known {
            Some(known) => known.priority = item.priority,
            None => {
                self.0.push(item);
                return true;
            }
        }
        false
    }

    /// Takes the image that is next.
    pub fn pop(&mut self) -> Option<Item> {
        let soonest = |(_, item): &(usize, &Item)| (item.priority, std::cmp::Reverse(item.number));
        let (at, _) = self.0.iter().enumerate().max_by_key(soonest)?;
        Some(self.0.remove(at))
    }

    /// Takes out those that `unwanted` names.
    pub fn remove_where(&mut self, mut unwanted: impl FnMut(&Item) -> bool) -> Vec<Item> {
        let (gone, stay) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|item| unwanted(item));
        self.0 = stay;
        gone
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of their pixels.
    pub fn bytes(&self) -> u64 {
        let bytes = |item: &Item| item.pixels.size_bytes() as u64;
        self.0.iter().map(bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageView, PixelFormat};

    fn pixels(gray: u8) -> Arc<Image> {
        let pixels = [gray; 6];
        let view = ImageView::new(PixelFormat::Gray8, 3, 2, 3, &pixels).unwrap();
        Arc::new(Image::from_view(&view).unwrap())
    }

    fn item(image: u8, priority: i32, number: u64) -> Item {
        Item {
            model: Weak::new(),
            model_id: 1,
            image_id: image.into(),
            pixels: pixels(image),
            priority,
            number,
        }
    }

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop())
            .map(|item| item.image_id)
            .collect()
    }

    #[test]
    fn the_most_wanted_is_next_and_the_first_come_among_equals() {
        let mut queue = Queue::default();
        for (image, priority) in [(1, 0), (2, 5), (3, 0), (4, -3), (5, 5)] {
            assert!(queue.add(item(image, priority, image.into())));
        }
        assert_eq!((queue.len(), queue.bytes()), (5, 30));
        assert_eq!(order(&mut queue), [2, 5, 1, 3, 4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn adding_an_image_again_changes_its_priority_and_nothing_else() {
        let mut queue = Queue::default();
        queue.add(item(1, 0, 1));
        queue.add(item(2, 1, 2));
        assert!(!queue.add(item(1, 2, 3)));
        let keyed = item(7, -1, 4);
        let (mut same, _) = (item(8, 9, 5), keyed.pixels.key());
        queue.add(keyed);
        same.pixels = pixels(7);
        same.pixels.key();
        assert!(!queue.add(same), "another handle of the same picture");
        assert!(queue.add(Item {
            model_id: 2,
            ..item(1, 0, 6)
        }));
        assert_eq!(order(&mut queue), [7, 1, 2, 1]);
    }

    #[test]
    fn those_not_wanted_any_more_are_taken_out() {
        let mut queue = Queue::default();
        for image in 1..=4 {
            queue.add(item(image, 0, image.into()));
        }
        let gone = queue.remove_where(|item| item.image_id % 2 == 0);
        assert_eq!(gone.len(), 2);
        assert_eq!(order(&mut queue), [1, 3]);
    }
}
