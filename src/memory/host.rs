//! Memory of the host, as far as this process may use it.

mod cgroup;

use std::path::Path;

use cgroup::Limits;
use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Bytes of host memory. Under a limit (Linux control groups: containers, services) total
/// and available are those of the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    /// Bytes this process could use at most.
    pub total: u64,
    /// Bytes that can still be had without swapping.
    pub available: u64,
    /// Bytes of this process that are in memory (resident set).
    pub process: u64,
}

impl HostMemory {
    /// Reads the figures; `None` where the system does not tell them.
    pub fn read() -> Option<Self> {
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let (mut total, mut available) = (system.total_memory(), system.available_memory());
        if let Some(limits) = Limits::read(Path::new("/")) {
            total = total.min(limits.total);
            available = available.min(limits.available);
        }
        if total == 0 {
            return None;
        }
        Some(Self {
            total,
            available: available.min(total),
            process: process_bytes(&mut system),
        })
    }

    /// Share of the total that is not available, 0 to 1.
    pub fn utilization(&self) -> f64 {
        (self.total - self.available) as f64 / self.total as f64
    }
}

fn process_bytes(system: &mut System) -> u64 {
    let own = Pid::from_u32(std::process::id());
    let what = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, what);
    system.process(own).map_or(0, sysinfo::Process::memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_machine_and_process() {
        let ballast = vec![1_u8; 64 << 20];
        let memory = HostMemory::read().expect("every supported system tells its memory");
        assert!(
            memory.total > 256 << 20 && memory.available <= memory.total,
            "{memory:?}"
        );
        assert!(
            memory.process >= ballast.len() as u64 && memory.process < memory.total,
            "{memory:?}"
        );
        assert!((0.0..=1.0).contains(&memory.utilization()));
    }
}
