//! The background thread, and what it decides: processed images over their limit are dropped, a GPU over its threshold
//! is relieved of what is unused. Not in vain: what frees next to nothing is tried ever more rarely, so that a GPU held
//! full by somebody else costs nobody their caches on every tick.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::config::MonitorConfig;
use super::figures::Figures;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Drop every processed image that is not in use.
    ClearImageCache {
        /// Bytes they hold.
        bytes: u64,
    },
    /// Give back unused predictions, then empty the allocator.
    OptimizeDevice {
        /// Share of the device in use, 0 to 1.
        utilization: f64,
    },
}

/// Decides; [`Monitor`] is the thread that asks. Times are on the clock of the context.
#[derive(Debug)]
pub struct MonitorPolicy {
    config: MonitorConfig,
    images: Trigger,
    device: Trigger,
}

/// Less than this share of the total counts as next to nothing.
const NEXT_TO_NOTHING: f64 = 0.01;

impl MonitorPolicy {
    /// A policy that has seen nothing yet.
    pub fn new(config: MonitorConfig) -> Self {
        Self {
            images: Trigger::new(&config),
            device: Trigger::new(&config),
            config,
        }
    }

    /// What is to be done now. `our_device_bytes` is what this process could give back on the device: its caches there
    /// and what its allocator holds unused; with nothing to give nothing is tried. Without figures the device is left
    /// alone. What came of each action is to be told to [`done`](Self::done).
    pub fn tick(
        &mut self,
        now: Duration,
        figures: Option<&Figures>,
        image_cache_bytes: u64,
        our_device_bytes: u64,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        let limit = self.config.image_cache_bytes;
        let crowded = Height::of(image_cache_bytes > limit, image_cache_bytes <= limit);
        if self.images.fires(now, crowded) {
            actions.push(Action::ClearImageCache {
                bytes: image_cache_bytes,
            });
        }
        if let Some(figures) = figures {
            let utilization = figures.utilization();
            let threshold = self.config.device_threshold;
            let height = Height::of(
                utilization > threshold,
                utilization <= threshold - self.config.margin,
            );
            let idle = height == Height::Above && our_device_bytes == 0;
            if !idle && self.device.fires(now, height) {
                actions.push(Action::OptimizeDevice { utilization });
            }
        }
        actions
    }

    /// An action was carried out and gave `freed` bytes back. `device_total` is the memory of the device.
    pub fn done(&mut self, now: Duration, action: &Action, freed: u64, device_total: u64) {
        match *action {
            Action::ClearImageCache { bytes } => {
                let useful = freed as f64 > bytes as f64 * NEXT_TO_NOTHING;
                self.images.done(now, useful);
            }
            Action::OptimizeDevice { .. } => {
                let useful = freed as f64 > device_total as f64 * NEXT_TO_NOTHING;
                self.device.done(now, useful);
            }
        }
    }
}

/// Where a reading lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Height {
    Above,
    /// Below the threshold, by less than the margin.
    Between,
    Below,
}

impl Height {
    fn of(above: bool, below: bool) -> Self {
        if above {
            Self::Above
        } else if below {
            Self::Below
        } else {
            Self::Between
        }
    }
}

/// Fires when its threshold is crossed, and then again only after a pause. What was in vain doubles the pause, even over
/// a fall below the threshold: a neighbour that comes and goes makes no storm either.
#[derive(Debug)]
struct Trigger {
    first_pause: Duration,
    longest_pause: Duration,
    armed: bool,
    pause: Duration,
    /// No firing before this, after one in vain.
    not_before: Duration,
    /// Above since the last firing without a fall: may fire again from here.
    again_at: Duration,
    /// Since when it has been below all the time.
    calm_since: Option<Duration>,
}

impl Trigger {
    fn new(config: &MonitorConfig) -> Self {
        Self {
            first_pause: config.first_pause,
            longest_pause: config.longest_pause.max(config.first_pause),
            armed: true,
            pause: config.first_pause,
            not_before: Duration::ZERO,
            again_at: Duration::ZERO,
            calm_since: None,
        }
    }

    fn fires(&mut self, now: Duration, height: Height) -> bool {
        match height {
            Height::Below => {
                self.armed = true;
                let since = *self.calm_since.get_or_insert(now);
                if now.saturating_sub(since) >= self.pause {
                    self.pause = self.first_pause;
                }
                return false;
            }
            Height::Between => {
                self.calm_since = None;
                return false;
            }
            Height::Above => self.calm_since = None,
        }
        if now < self.not_before || !(self.armed || now >= self.again_at) {
            return false;
        }
        self.armed = false;
        // Until it is told what came of it, it was in vain.
        self.again_at = now.saturating_add(self.pause);
        true
    }

    fn done(&mut self, now: Duration, useful: bool) {
        if useful {
            self.pause = self.first_pause;
            self.not_before = Duration::ZERO;
        } else {
            self.not_before = now.saturating_add(self.pause);
            self.pause = self.pause.saturating_mul(2).min(self.longest_pause);
        }
        self.again_at = now.saturating_add(self.first_pause).max(self.not_before);
    }
}

/// The background thread: calls a closure once at the start and then once a period. Ends when it is stopped or dropped,
/// or when the closure breaks.
pub struct Monitor {
    stop: Arc<Stop>,
    id: ThreadId,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Sleeps for `time`, or until asked to stop, and tells whether that was the reason.
    fn wait(&self, time: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = self
            .changed
            .wait_timeout_while(asked, time, |asked| !*asked)
            .unwrap_or_else(PoisonError::into_inner);
        *asked
    }
}

impl Monitor {
    /// Starts the thread. `tick` is told the time since the start. It should not hold what owns the monitor but weakly,
    /// or that never goes away; when it finds it gone, it breaks.
    ///
    /// # Errors
    /// The system starts no more threads.
    pub fn start(
        period: Duration,
        mut tick: impl FnMut(Duration) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("sam-mm-memory".to_owned())
            .spawn(move || {
                let started = Instant::now();
                while tick(started.elapsed()).is_continue() {
                    if asked.wait(period) {
                        break;
                    }
                }
            })?;
        Ok(Self {
            stop,
            id: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Ends the thread, and returns when it has ended; a tick that runs is waited for. From inside a tick it does not
    /// wait for itself: the thread ends after that tick.
    pub fn stop(&self) {
        self.stop.ask();
        if thread::current().id() == self.id {
            return;
        }
        // Held while it joins: whoever stops it at the same time waits as well.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic in a tick has ended the thread and was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::{OnceLock, mpsc};

    const TOTAL: u64 = 1000;

    fn used(used: u64) -> Figures {
        Figures {
            total: TOTAL,
            used,
            free: TOTAL - used,
            process: None,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn policy() -> MonitorPolicy {
        MonitorPolicy::new(MonitorConfig::default())
    }

    /// The seconds at which the device is optimised, when the readings come one a second and each time `freed` bytes are
    /// given back.
    fn fired(policy: &mut MonitorPolicy, readings: &[u64], freed: u64) -> Vec<usize> {
        let mut fired = Vec::new();
        for (second, &reading) in readings.iter().enumerate() {
            let now = seconds(second as u64);
            for action in policy.tick(now, Some(&used(reading)), 0, 100) {
                policy.done(now, &action, freed, TOTAL);
                fired.push(second);
            }
        }
        fired
    }

    #[test]
    fn images_over_a_billion_bytes_are_dropped() {
        let mut policy = policy();
        assert!(policy.tick(seconds(0), None, 1_000_000_000, 0).is_empty());
        let bytes = 1_000_000_001;
        let action = Action::ClearImageCache { bytes };
        assert_eq!(policy.tick(seconds(1), None, bytes, 0), [action]);
        policy.done(seconds(1), &action, bytes, 0);
        assert!(policy.tick(seconds(2), None, 0, 0).is_empty());
        assert_eq!(policy.tick(seconds(3), None, bytes, 0), [action]);
    }

    #[test]
    fn images_that_are_all_in_use_are_not_tried_on_every_tick() {
        let mut policy = policy();
        let tries: usize = (0..60)
            .map(|second| {
                let actions = policy.tick(seconds(second), None, 2_000_000_000, 0);
                for action in &actions {
                    policy.done(seconds(second), action, 0, 0);
                }
                actions.len()
            })
            .sum();
        assert_eq!(tries, 4);
    }

    #[test]
    fn a_gpu_over_80_percent_is_relieved_when_it_gets_there_and_not_at_80() {
        assert_eq!(fired(&mut policy(), &[700, 800, 801], 50), [2]);
        let action = policy().tick(seconds(0), Some(&used(810)), 0, 1);
        assert_eq!(action, [Action::OptimizeDevice { utilization: 0.81 }]);
    }

    #[test]
    fn a_gpu_that_wavers_about_the_threshold_is_relieved_once() {
        assert_eq!(
            fired(&mut policy(), &[810, 790, 810, 760], 50),
            [0],
            "76 % is within the margin"
        );
        assert_eq!(fired(&mut policy(), &[810, 790, 750, 810], 50), [0, 3]);
    }

    #[test]
    fn a_gpu_that_stays_full_is_relieved_again_as_long_as_it_helps() {
        assert_eq!(fired(&mut policy(), &[900; 12], 50), [0, 5, 10]);
    }

    #[test]
    fn defect_15_a_gpu_held_full_by_somebody_else_is_tried_ever_more_rarely() {
        assert_eq!(
            fired(&mut policy(), &[900; 200], 0),
            [0, 5, 15, 35, 75, 155]
        );
    }

    #[test]
    fn defect_15_a_neighbour_that_comes_and_goes_makes_no_storm_either() {
        let readings: Vec<u64> = [900, 700].repeat(100);
        assert_eq!(fired(&mut policy(), &readings, 0), [0, 6, 16, 36, 76, 156]);
    }

    #[test]
    fn with_nothing_of_ours_on_the_device_nothing_is_tried() {
        let mut policy = policy();
        assert!(policy.tick(seconds(0), Some(&used(990)), 0, 0).is_empty());
        assert_eq!(policy.tick(seconds(1), Some(&used(990)), 0, 1).len(), 1);
    }

    #[test]
    fn a_long_calm_forgets_what_was_in_vain() {
        let mut policy = policy();
        let mut readings = vec![900; 40];
        readings.extend([700; 100]);
        readings.extend([900; 10]);
        assert_eq!(fired(&mut policy, &readings, 0), [0, 5, 15, 35, 140, 145]);
    }

    #[test]
    fn a_lost_probe_is_no_reason_to_act() {
        assert!(policy().tick(seconds(0), None, 0, 100).is_empty());
    }

    proptest! {
        /// A neighbour takes and gives what it likes, and we refill our cache as fast as we may.
        #[test]
        fn with_a_hungry_neighbour_what_is_in_vain_is_rare_and_what_helps_is_done(
            neighbour in proptest::collection::vec(0..1000_u64, 1..600),
            refill in 0..60_u64,
        ) {
            let config = MonitorConfig::default();
            let mut policy = MonitorPolicy::new(config.clone());
            let mut ours = 0_u64;
            let mut in_vain = 0_u32;
            let mut full_and_ours = 0_u64;
            for (second, &theirs) in neighbour.iter().enumerate() {
                let now = seconds(second as u64);
                ours = (ours + refill).min(300).min(TOTAL - theirs);
                let figures = used(theirs + ours);
                let actions = policy.tick(now, Some(&figures), 0, ours);
                prop_assert!(actions.len() <= 1);
                if actions.is_empty() {
                    // Kept up the longest pause at most, when there is something to gain.
                    full_and_ours = if ours > 0 && figures.utilization() > 0.8 { full_and_ours + 1 } else { 0 };
                    prop_assert!(full_and_ours <= config.longest_pause.as_secs());
                }
                for action in actions {
                    prop_assert!(figures.utilization() > 0.8 && ours > 0);
                    policy.done(now, &action, ours, TOTAL);
                    in_vain += u32::from(ours <= 10);
                    ours = 0;
                    full_and_ours = 0;
                }
            }
            // A pause after each: 5, 10, 20, …; a long calm or a success begins anew.
            let most = neighbour.len() as u64 / config.first_pause.as_secs() + 1;
            prop_assert!(u64::from(in_vain) <= most, "{} of at most {}", in_vain, most);
        }

        #[test]
        fn somebody_else_alone_costs_us_a_logarithm_of_tries(
            theirs in proptest::collection::vec(751..1000_u64, 600..2000),
        ) {
            // 5 + 10 + … + 160 = 315 s, then one every 300 s.
            let most = 6 + theirs.len() / 300 + 1;
            prop_assert!(fired(&mut policy(), &theirs, 0).len() <= most);
        }
    }

    #[test]
    fn the_thread_ticks_at_once_and_then_once_a_period() {
        let (send, ticks) = mpsc::channel();
        let monitor = Monitor::start(Duration::from_millis(1), move |now| {
            send.send(now)
                .map_or(ControlFlow::Break(()), ControlFlow::Continue)
        })
        .unwrap();
        let times: Vec<_> = ticks.iter().take(3).collect();
        assert!(times.is_sorted());
        monitor.stop();
        let _ = ticks.try_iter().count();
        assert!(ticks.recv().is_err(), "the closure is gone after stop");
    }

    #[test]
    fn dropping_it_does_not_wait_for_the_period_to_end() {
        let (send, ticks) = mpsc::channel();
        let monitor = Monitor::start(Duration::from_secs(1 << 40), move |_| {
            send.send(()).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
        ticks.recv().unwrap();
        // Would hang for ever.
        drop(monitor);
        assert!(ticks.recv().is_err());
    }

    #[test]
    fn a_closure_that_breaks_ends_the_thread() {
        let (send, ticks) = mpsc::channel();
        let _monitor = Monitor::start(Duration::from_millis(1), move |_| {
            send.send(()).unwrap();
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(ticks.iter().count(), 1);
    }

    #[test]
    fn it_can_be_stopped_from_inside_its_own_tick() {
        let (send, ticks) = mpsc::channel();
        let own: Arc<OnceLock<Monitor>> = Arc::default();
        let inside = Arc::clone(&own);
        let monitor = Monitor::start(Duration::from_millis(1), move |_| {
            if let Some(monitor) = inside.get() {
                monitor.stop();
            }
            send.send(()).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
        let _ = own.set(monitor);
        // Ends only when the thread has.
        assert!(ticks.iter().count() >= 1);
    }
}
