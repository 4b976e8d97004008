//! The memory limits of this process's control groups (Linux).
//!
//! A limit may be set on any group above the process as well as on its own, and each counts; `sysinfo` looks at the
//! topmost group only, which outside a container has none. Files that can be dropped at once (page cache not in use)
//! are charged to a group but do not keep anybody from the memory, so they count as available.

use std::fs;
use std::path::{Path, PathBuf};

/// What the groups leave to this process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The smallest limit.
    pub(super) total: u64,
    /// The least that any of the groups has left.
    pub(super) available: u64,
}

/// Names of one version of control groups.
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: what can be dropped at once, in the group and those below it.
    droppable: &'static str,
}

const V2: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    droppable: "inactive_file",
};

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: "total_inactive_file",
};

impl Limits {
    /// The limits of this process; `None` when there are none. `root` is `/` but in tests.
    pub(super) fn read(root: &Path) -> Option<Self> {
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
        // Both versions may be mounted, but memory belongs to one of them.
        let versions = [
            (&V1, group_v1(&groups).zip(mount(&mounts, is_v1_memory))),
            (&V2, group_v2(&groups).zip(mount(&mounts, is_v2))),
        ];
        let limits = versions.into_iter().filter_map(|(files, found)| {
            let (group, mount) = found?;
            strictest(root, files, group, &mount)
        });
        limits.reduce(Self::stricter)
    }

    fn stricter(self, other: Self) -> Self {
        Self {
            total: self.total.min(other.total),
            available: self.available.min(other.available),
        }
    }
}

/// The strictest limit on the way from a group up to where its hierarchy is mounted.
fn strictest(root: &Path, files: &Files, group: &str, mount: &Mount) -> Option<Limits> {
    // A container may see its own group as the root of the mount, or of what it is told about groups, or of both.
    let below = group
        .strip_prefix(mount.root.trim_end_matches('/'))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        .unwrap_or_default();
    let top = root.join(mount.point.trim_start_matches('/'));
    let own = top.join(below.trim_start_matches('/'));
    let own = if own.is_dir() { own } else { top.clone() };
    own.ancestors()
        .take_while(|folder| folder.starts_with(&top))
        .filter_map(|folder| limit_of(folder, files))
        .reduce(Limits::stricter)
}

/// The limit of one group; `None` when it has none.
fn limit_of(folder: &Path, files: &Files) -> Option<Limits> {
    let total = number(&folder.join(files.limit))?;
    let used = number(&folder.join(files.usage)).unwrap_or(0);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let droppable = stat.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == files.droppable)
            .then(|| value.trim().parse().ok())
            .flatten()
    });
    let held = used.saturating_sub(droppable.unwrap_or(0));
    Some(Limits {
        total,
        available: total.saturating_sub(held),
    })
}

/// The number in a file; `None` for `max`. No limit reads as nearly 2⁶³ in version 1, which any real memory is below.
fn number(file: &PathBuf) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// `0::/path`.
fn group_v2(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// `4:memory:/path`; several controllers may share a line.
fn group_v1(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers
            .split(',')
            .any(|name| name == "memory")
            .then_some(path)
    })
}

/// Where a hierarchy of groups is seen, and from which of its groups on.
struct Mount {
    root: String,
    point: String,
}

/// The first mount that is wanted; `wanted` is given the kind of file system and its own options.
fn mount(mounts: &str, wanted: fn(&str, &str) -> bool) -> Option<Mount> {
    mounts.lines().find_map(|line| {
        let (place, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let (kind, options) = (file_system.next()?, file_system.nth(1)?);
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        wanted(kind, options).then(|| Mount {
            root: unescape(root),
            point: unescape(point),
        })
    })
}

fn is_v1_memory(kind: &str, options: &str) -> bool {
    kind == "cgroup" && options.split(',').any(|option| option == "memory")
}

fn is_v2(kind: &str, _options: &str) -> bool {
    kind == "cgroup2"
}

/// `mountinfo` writes a space as `\040`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like the root of a machine.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(groups: &str, mounts: &str) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.write("proc/self/cgroup", groups);
            machine.write("proc/self/mountinfo", mounts);
            machine
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn group(&self, files: &Files, folder: &str, limit: &str, usage: u64, droppable: u64) {
            self.write(&format!("{folder}/{}", files.limit), &format!("{limit}\n"));
            self.write(&format!("{folder}/{}", files.usage), &format!("{usage}\n"));
            let stat = format!("anon 1\n{} {droppable}\nslab 2\n", files.droppable);
            self.write(&format!("{folder}/memory.stat"), &stat);
        }

        fn limits(&self) -> Option<(u64, u64)> {
            Limits::read(self.0.path()).map(|limits| (limits.total, limits.available))
        }
    }

    const MOUNT_V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const MOUNT_V1: &str = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    #[test]
    fn the_strictest_group_above_a_process_counts() {
        let machine = Machine::new("0::/user.slice/tool.scope\n", MOUNT_V2);
        machine.group(&V2, "sys/fs/cgroup/user.slice", "4000", 3000, 500);
        machine.group(&V2, "sys/fs/cgroup/user.slice/tool.scope", "max", 100, 0);
        assert_eq!(machine.limits(), Some((4000, 1500)));
        machine.group(&V2, "sys/fs/cgroup/user.slice/tool.scope", "2000", 100, 0);
        assert_eq!(machine.limits(), Some((2000, 1500)));
        machine.group(&V2, "sys/fs/cgroup/user.slice/tool.scope", "2000", 1900, 0);
        assert_eq!(machine.limits(), Some((2000, 100)));
    }

    #[test]
    fn a_process_without_a_limit_has_none() {
        let machine = Machine::new("0::/tool.scope\n", MOUNT_V2);
        machine.group(&V2, "sys/fs/cgroup/tool.scope", "max", 100, 0);
        assert_eq!(machine.limits(), None);
        assert_eq!(Machine::new("", "").limits(), None);
        assert!(Limits::read(Path::new("/no such folder")).is_none());
    }

    #[test]
    fn a_container_that_is_the_root_of_its_groups_has_its_limit_there() {
        let machine = Machine::new("0::/\n", MOUNT_V2);
        machine.group(&V2, "sys/fs/cgroup", "1000", 400, 100);
        assert_eq!(machine.limits(), Some((1000, 700)));
    }

    #[test]
    fn a_container_that_is_told_its_path_on_the_host_has_its_limit_where_it_is_mounted() {
        let mount = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        for group in ["4:memory:/docker/abc\n", "4:memory:/kubepods/else\n"] {
            let machine = Machine::new(group, mount);
            machine.group(&V1, "sys/fs/cgroup/memory", "1000", 400, 100);
            assert_eq!(machine.limits(), Some((1000, 700)), "{group}");
        }
    }

    #[test]
    fn the_first_version_of_groups_is_read_beside_an_empty_second() {
        let mounts = format!(
            "{MOUNT_V1}{}",
            MOUNT_V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
        );
        let machine = Machine::new("3:cpu,cpuacct:/\n4:memory:/a/b\n0::/\n", &mounts);
        machine.write("sys/fs/cgroup/unified/cgroup.procs", "");
        machine.group(&V1, "sys/fs/cgroup/memory/a", "3000", 100, 50);
        machine.group(
            &V1,
            "sys/fs/cgroup/memory/a/b",
            "9223372036854771712",
            100,
            50,
        );
        assert_eq!(machine.limits(), Some((3000, 2950)));
    }

    #[test]
    fn a_group_that_holds_more_than_its_limit_has_nothing_left() {
        let machine = Machine::new("0::/\n", MOUNT_V2);
        machine.group(&V2, "sys/fs/cgroup", "1000", 1200, 0);
        assert_eq!(machine.limits(), Some((1000, 0)));
    }
}
