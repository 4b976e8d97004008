//! One annotator at work: what is clicked, what was clicked before, and how long each answer took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sam_mm::prediction::Prediction;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;

use crate::album::Picture;
use crate::house::{House, Reference};
use crate::trace::Step;

/// What a click was to the annotator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first one after going to an image.
    First,
    /// Another one on the same image.
    Further,
    /// The same as before, by undo or redo.
    Again,
}

/// One click and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Click {
    pub kind: Kind,
    /// From the click to its answer; going to the image is not part of it.
    pub took: Duration,
    /// Whether the image was encoded for it.
    pub encoded: bool,
    /// Whether the answer had been kept.
    pub reused: bool,
}

/// What came of the steps of an annotator.
#[derive(Default)]
pub struct Diary {
    pub clicks: Vec<Click>,
    /// Answers that were compared with those of a context that keeps nothing.
    pub checked: usize,
    /// Of these, the ones that differed, in words.
    pub wrong: Vec<String>,
}

/// What is asked about one object.
#[derive(Clone, Default)]
struct Work {
    points: Vec<[f32; 2]>,
    labels: Vec<i32>,
    bounding_box: Option<[f32; 4]>,
    mask_input: Option<Arc<[f32]>>,
}

impl Work {
    fn prompt(&self) -> Prompt<'_> {
        Prompt {
            points: &self.points,
            labels: &self.labels,
            bounding_box: self.bounding_box,
            mask_input: self.mask_input.as_deref(),
        }
    }

    /// The first click on an object leaves open what is meant; what follows does not.
    fn multimask(&self) -> bool {
        self.mask_input.is_none() && self.bounding_box.is_none()
    }
}

/// The image that an annotator is at.
struct Desk {
    index: usize,
    picture: Picture,
    image: Arc<RegisteredImage>,
    untouched: bool,
    /// What was asked so far about the object at work, with the mask that came of it.
    history: Vec<(Work, Arc<[f32]>)>,
    /// What was taken back, the last one last.
    undone: Vec<(Work, Arc<[f32]>)>,
    refinements: usize,
}

/// Plays the steps of one annotator.
pub struct Annotator<'a> {
    house: &'a House,
    reference: &'a Reference,
    desk: Option<Desk>,
    diary: Diary,
}

impl<'a> Annotator<'a> {
    pub fn new(house: &'a House, reference: &'a Reference) -> Self {
        Self {
            house,
            reference,
            desk: None,
            diary: Diary::default(),
        }
    }

    /// Plays all steps, with time to think between them.
    pub fn play(mut self, steps: &[Step]) -> Result<Diary> {
        for (number, step) in steps.iter().enumerate() {
            self.step(*step)
                .with_context(|| format!("step {number}, {step:?}"))?;
        }
        Ok(self.diary)
    }

    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Open(index) => self.open(index),
            Step::Announce(index) => {
                let picture = self.house.album.picture(index);
                let day = self.house.day()?;
                let image = picture.register(&day.context)?;
                day.announce(&image)
            }
            Step::Click(object) => {
                let desk = self.desk()?;
                let point = desk.picture.clicks[object];
                self.begin(Work {
                    points: vec![point],
                    labels: vec![1],
                    ..Work::default()
                })
            }
            Step::Box(object) => {
                let corners = self.desk()?.picture.boxes[object];
                self.begin(Work {
                    bounding_box: Some(corners),
                    ..Work::default()
                })
            }
            Step::Refine => self.refine(),
            Step::Undo => self.undo(),
            Step::Redo => self.redo(),
            Step::NextDay => {
                self.desk = None;
                self.house.next_day()
            }
        }
    }

    fn open(&mut self, index: usize) -> Result<()> {
        let picture = self.house.album.picture(index);
        let image = picture.register(&self.house.day()?.context)?;
        self.desk = Some(Desk {
            index,
            picture,
            image,
            untouched: true,
            history: Vec::new(),
            undone: Vec::new(),
            refinements: 0,
        });
        self.house.think();
        Ok(())
    }

    fn desk(&mut self) -> Result<&mut Desk> {
        self.desk.as_mut().context("no image is open")
    }

    fn begin(&mut self, work: Work) -> Result<()> {
        let desk = self.desk()?;
        desk.history.clear();
        desk.undone.clear();
        self.ask(work, false)
    }

    fn refine(&mut self) -> Result<()> {
        let desk = self.desk()?;
        let Some((last, mask)) = desk.history.last() else {
            bail!("there is nothing to refine");
        };
        let mut work = last.clone();
        work.mask_input = Some(Arc::clone(mask));
        let (point, label) =
            desk.picture.refinements[desk.refinements % desk.picture.refinements.len()];
        desk.refinements += 1;
        work.points.push(point);
        work.labels.push(label);
        desk.undone.clear();
        self.ask(work, false)
    }

    /// A tool that undoes shows the mask of the prompts that are left, and asks for it as it did before.
    fn undo(&mut self) -> Result<()> {
        let desk = self.desk()?;
        let last = desk.history.pop().context("there is nothing to undo")?;
        desk.undone.push(last);
        let (work, _) = desk.history.pop().context("nothing is left after undo")?;
        self.ask(work, true)
    }

    fn redo(&mut self) -> Result<()> {
        let desk = self.desk()?;
        let (work, _) = desk.undone.pop().context("there is nothing to redo")?;
        self.ask(work, true)
    }

    fn ask(&mut self, work: Work, again: bool) -> Result<()> {
        self.house.think();
        let day = self.house.day()?;
        let desk = self.desk()?;
        let kind = match (std::mem::take(&mut desk.untouched), again) {
            (true, _) => Kind::First,
            (false, true) => Kind::Again,
            (false, false) => Kind::Further,
        };
        let start = Instant::now();
        let answer = day.predict(&desk.image, &work.prompt(), work.multimask())?;
        let took = start.elapsed();
        let best = answer.best_mask(0)?;
        desk.history.push((work, answer.logits(best)?.into()));
        self.diary.clicks.push(Click {
            kind,
            took,
            encoded: answer.timings.encode_ms.is_some(),
            reused: answer.is_reused(),
        });
        if self
            .diary
            .clicks
            .len()
            .is_multiple_of(self.house.check_every)
        {
            self.check(&answer)?;
        }
        Ok(())
    }

    /// Compares an answer with that of a context which keeps nothing and so can mix nothing up.
    fn check(&mut self, answer: &Prediction) -> Result<()> {
        let reference = self.reference;
        let tolerance = self.house.tolerance;
        let desk = self.desk()?;
        let (work, _) = desk.history.last().context("something was asked")?;
        let expected = reference.predict(&desk.picture, &work.prompt(), work.multimask())?;
        let difference = difference(answer, &expected)?;
        let index = desk.index;
        self.diary.checked += 1;
        if difference.is_nan() || difference > tolerance {
            self.diary.wrong.push(format!(
                "a click on image {index} was answered with logits that are off by {difference}"
            ));
        }
        Ok(())
    }
}

/// The largest difference of any logit or score.
fn difference(one: &Prediction, other: &Prediction) -> Result<f32> {
    if one.num_masks() != other.num_masks() {
        return Ok(f32::INFINITY);
    }
    let mut largest = 0.0_f32;
    for mask in 0..one.num_masks() {
        let logits = one.logits(mask)?.iter().zip(other.logits(mask)?);
        let scores = (one.score(mask)? - other.score(mask)?).abs();
        largest = logits
            .map(|(a, b)| (a - b).abs())
            .fold(largest.max(scores), f32::max);
    }
    Ok(largest)
}
