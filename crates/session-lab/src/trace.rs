//! What annotators do, as steps that can be replayed.

/// One thing that an annotator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Goes to an image; the one before is closed.
    Open(usize),
    /// Tells which image comes next, so that it is ready by then.
    Announce(usize),
    /// Clicks on an object of the image: the first click on it.
    Click(usize),
    /// Draws a box around an object of the image.
    Box(usize),
    /// Clicks once more on the object at work, with the mask so far as input.
    Refine,
    /// Takes the last click back.
    Undo,
    /// Makes the click that was taken back once more.
    Redo,
    /// Ends the program and starts it again, as on the next day.
    NextDay,
}

/// What a number of annotators do in one context at the same time.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it is about.
    pub name: &'static str,
    /// How many images there are.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "tests hold the steps against it")
    )]
    pub images: usize,
    /// The steps of each annotator.
    pub users: Vec<Vec<Step>>,
}

/// All traces. `seed` decides on everything that is left to chance.
pub fn all(seed: u64) -> Vec<Trace> {
    vec![
        walk_forward(40),
        back_and_forth(20),
        zoomed_refinement(10),
        random_jumps(500, 1000, seed),
        two_users(30, seed),
        next_day(25),
    ]
}

/// Image after image, a few objects on each, the next one announced.
fn walk_forward(images: usize) -> Trace {
    let steps = (0..images).flat_map(|image| {
        let next = (image + 1 < images).then(|| Step::Announce(image + 1));
        [Step::Open(image)].into_iter().chain(next).chain([
            Step::Click(0),
            Step::Click(1),
            Step::Refine,
            Step::Box(2),
        ])
    });
    Trace {
        name: "walk forward",
        images,
        users: vec![steps.collect()],
    }
}

/// Two images forward, one back, to compare; then all the way back, looking at what was clicked and clicking something new.
fn back_and_forth(images: usize) -> Trace {
    let mut steps = Vec::new();
    for image in 0..images {
        steps.extend([Step::Open(image), Step::Click(0), Step::Refine]);
        if image > 0 {
            steps.extend([Step::Open(image - 1), Step::Click(0)]);
            steps.extend([Step::Open(image), Step::Click(1)]);
        }
    }
    for image in (0..images).rev() {
        steps.extend([Step::Open(image), Step::Click(0), Step::Click(2)]);
    }
    Trace {
        name: "back and forth",
        images,
        users: vec![steps],
    }
}

/// Long work on few objects: refining, taking back, trying again.
fn zoomed_refinement(images: usize) -> Trace {
    let mut steps = Vec::new();
    for image in 0..images {
        steps.push(Step::Open(image));
        for object in 0..3 {
            steps.push(Step::Click(object));
            steps.extend([Step::Refine; 4]);
            steps.extend([Step::Undo, Step::Undo, Step::Redo, Step::Refine]);
            steps.extend([Step::Undo, Step::Redo]);
        }
    }
    Trace {
        name: "zoomed refinement with undo",
        images,
        users: vec![steps],
    }
}

/// Anywhere at any time, as in a review: every other visit is to an image seen before.
fn random_jumps(images: usize, visits: usize, seed: u64) -> Trace {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen: Vec<usize> = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..visits {
        let image = match random.choice(&seen) {
            Some(&known) if random.bool() => known,
            _ => random.usize(..images),
        };
        seen.push(image);
        steps.extend([Step::Open(image), Step::Click(random.usize(..3))]);
    }
    Trace {
        name: "random jumps",
        images,
        users: vec![steps],
    }
}

/// Two annotators in one program: each walks through all images, one from either end, so that they meet in the middle,
/// and then each looks over what the other did.
fn two_users(images: usize, seed: u64) -> Trace {
    let mut random = fastrand::Rng::with_seed(seed);
    let walk = |order: Vec<usize>, random: &mut fastrand::Rng| {
        let mut steps = Vec::new();
        for image in order {
            steps.extend([Step::Open(image), Step::Click(0)]);
            if random.bool() {
                steps.extend([Step::Refine, Step::Undo]);
            }
            steps.push(Step::Click(1));
        }
        steps
    };
    let (forward, backward) = ((0..images).collect(), (0..images).rev().collect());
    Trace {
        name: "two users",
        images,
        users: vec![walk(forward, &mut random), walk(backward, &mut random)],
    }
}

/// Half the images today, and the next day all of them from the start.
fn next_day(images: usize) -> Trace {
    let visit = |image| [Step::Open(image), Step::Click(0), Step::Refine];
    let today = (0..images / 2).flat_map(visit);
    let tomorrow = (0..images).flat_map(visit);
    Trace {
        name: "the next day",
        images,
        users: vec![today.chain([Step::NextDay]).chain(tomorrow).collect()],
    }
}

impl Trace {
    /// Images that somebody opens: encoding each once is what cannot be spared.
    pub fn images_opened(&self) -> usize {
        let mut opened: Vec<usize> = self
            .users
            .iter()
            .flatten()
            .filter_map(|step| match step {
                Step::Open(image) => Some(*image),
                _ => None,
            })
            .collect();
        opened.sort_unstable();
        opened.dedup();
        opened.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trace_opens_an_image_before_it_clicks_and_stays_within_its_images() {
        for trace in all(3) {
            for user in &trace.users {
                assert!(matches!(user[0], Step::Open(_)), "{}", trace.name);
                let within = user.iter().all(|step| match step {
                    Step::Open(image) | Step::Announce(image) => *image < trace.images,
                    _ => true,
                });
                assert!(within, "{}", trace.name);
            }
        }
    }

    #[test]
    fn chance_is_in_the_seed_alone() {
        let steps = |seed| random_jumps(500, 100, seed).users;
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
    }

    #[test]
    fn images_opened_are_counted_once() {
        assert_eq!(back_and_forth(20).images_opened(), 20);
        assert_eq!(two_users(30, 1).images_opened(), 30);
    }
}
