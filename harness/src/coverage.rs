//! Which fault struck which operation how often: of a run, and merged over many. A fault that a whole library never meets is
//! one that nobody knows to be survived.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault;

/// Faults, by name or by the beginning of it, that nothing under test can meet yet, and why. A test fails once one of them is met:
/// then its line goes.
pub const UNREACHABLE: &[(&str, &str)] =
    &[("mesos.", "the simulated cluster is one of Kubernetes; harness/tests/mesos.rs meets them")];

const ADD: &str = "ADD";
const DEL: &str = "DEL";
/// What every call of the plugin that reaches a switch is for.
const CALLS: &[&str] = &[ADD, DEL, "CHECK", "GC", "STATUS"];
const CONTROLLER: &str = "controller";
const AUDIT: &str = crate::world::sim::audit::OPERATION;

/// The operations that a library has to let a fault strike: those for which its consequences are others. Faults by name or
/// by the beginning of it, the first that fits; what stands nowhere has to strike anything at all.
const DUE: &[(&str, &[&str])] = &[
    ("plugin.killed", CALLS),
    ("vrs.disconnect", CALLS),
    ("vrs.slow", CALLS),
    ("vrs.cut_reply", CALLS),
    ("vrs.partial_reply", &[ADD, DEL, CONTROLLER]),
    ("vrs.operation_error", &[ADD, DEL, CONTROLLER]),
    ("vrs.reply_first", &[ADD, DEL, CONTROLLER]),
    ("vrs.update_first", &[ADD]),
    ("vrs.", &["node"]),
    ("vsc.", &[CONTROLLER]),
    ("vsd.", &[CONTROLLER]),
    ("monitor.dot_when_full", &[ADD]),
    ("monitor.forgets_pool", &[ADD]),
    ("monitor.", &[ADD, DEL]),
    ("kube.gone", &[AUDIT]),
    ("kube.stale_list", &[AUDIT]),
    ("kube.empty_list", &[AUDIT]),
    ("kube.watch_gap", &[AUDIT]),
    ("kube.", &[ADD]),
    ("node.disk_full", &[ADD, DEL]),
    ("node.netns_gone", &[ADD]),
    ("kubelet.timeout", &[ADD, DEL]),
];

/// The operations that a fault has to strike; none: whatever it strikes will do.
fn due(fault: &str) -> &'static [&'static str] {
    DUE.iter().find(|(begin, _)| fault.starts_with(begin)).map_or(&[], |(_, operations)| operations)
}

/// Counts by fault and by operation, as they are written down.
pub type ByFault = BTreeMap<String, BTreeMap<String, u64>>;

/// Counts by fault and operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<(&'static str, String), u64>);

impl Coverage {
    /// Counts more.
    pub fn add(&mut self, fault: &'static str, operation: &str, times: u64) {
        *self.0.entry((fault, operation.to_owned())).or_default() += times;
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for ((fault, operation), times) in &other.0 {
            self.add(fault, operation, *times);
        }
    }

    /// How often a fault struck an operation.
    pub fn get(&self, fault: &str, operation: &str) -> u64 {
        let these = self.0.iter().filter(|((known, on), _)| *known == fault && on == operation);
        these.map(|(_, times)| times).sum()
    }

    /// How often a fault struck anything.
    pub fn of(&self, fault: &str) -> u64 {
        self.0.iter().filter(|((known, _), _)| *known == fault).map(|(_, times)| times).sum()
    }

    /// Faults that never struck although something can meet them, and operations that they should have struck.
    pub fn missing(&self) -> Vec<String> {
        let reachable =
            |name: &str| UNREACHABLE.iter().all(|(unreachable, _)| !name.starts_with(unreachable));
        let mut missing = Vec::new();
        for name in fault::KINDS.iter().map(|kind| kind.name).filter(|name| reachable(name)) {
            if self.of(name) == 0 {
                missing.push(name.to_owned());
                continue;
            }
            let never = due(name).iter().filter(|operation| self.get(name, operation) == 0);
            missing.extend(never.map(|operation| format!("{name} at {operation}")));
        }
        missing
    }

    /// What stands in [`UNREACHABLE`] and was met all the same.
    pub fn reached_after_all(&self) -> Vec<&'static str> {
        let met =
            |begin: &str| self.0.iter().any(|((fault, _), times)| fault.starts_with(begin) && *times > 0);
        UNREACHABLE.iter().map(|(name, _)| *name).filter(|name| met(name)).collect()
    }

    fn operations(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(_, operation)| operation.as_str()).collect()
    }

    /// A line a fault, a column an operation.
    pub fn table(&self) -> Vec<String> {
        let operations = self.operations();
        let row = |name: &str, cells: Vec<String>| {
            cells.iter().fold(format!("{name:26}"), |line, cell| format!("{line} {cell:>10}"))
        };
        let head = row("fault", operations.iter().map(|operation| (*operation).to_owned()).collect());
        let lines = fault::KINDS.iter().map(|kind| {
            let cell = |operation: &&str| match self.get(kind.name, operation) {
                0 => "-".to_owned(),
                times => times.to_string(),
            };
            row(kind.name, operations.iter().map(cell).collect())
        });
        std::iter::once(head).chain(lines).collect()
    }

    /// How often which operation was struck, by fault: of every fault that there is.
    pub fn of_all(&self) -> ByFault {
        let mut all: ByFault =
            fault::KINDS.iter().map(|kind| (kind.name.to_owned(), BTreeMap::new())).collect();
        all.extend(self.of_struck());
        all
    }

    /// The same of the faults that struck.
    pub fn of_struck(&self) -> ByFault {
        let mut struck = ByFault::new();
        for ((fault, operation), times) in &self.0 {
            struck.entry((*fault).to_owned()).or_default().insert(operation.clone(), *times);
        }
        struck
    }

    /// Adds what was written down; faults that there are no longer are left out.
    pub fn add_written(&mut self, written: &ByFault) {
        for kind in fault::KINDS {
            for (operation, times) in written.get(kind.name).into_iter().flatten() {
                self.add(kind.name, operation, *times);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_met_is_told_and_what_was_is_counted_by_operation() {
        let mut coverage = Coverage::default();
        coverage.add("vrs.slow", "ADD", 2);
        let mut other = Coverage::default();
        other.add("vrs.slow", "ADD", 1);
        other.add("vrs.slow", "DEL", 4);
        coverage.merge(&other);
        assert_eq!((coverage.get("vrs.slow", "ADD"), coverage.of("vrs.slow")), (3, 7));
        let missing = coverage.missing();
        let is_missing = |what: &str| missing.iter().any(|known| known == what);
        assert!(is_missing("vrs.disconnect") && !is_missing("vrs.slow") && !is_missing("vrs.slow at DEL"));
        assert!(is_missing("vrs.slow at GC"), "{missing:?}");
        assert_eq!(
            coverage.of_all()["vrs.slow"],
            BTreeMap::from([("ADD".to_owned(), 3), ("DEL".to_owned(), 4)])
        );
        assert!(coverage.of_all().len() == fault::KINDS.len() && coverage.of_struck().len() == 1);
        let mut read = Coverage::default();
        read.add_written(&coverage.of_all());
        assert_eq!(read, coverage);
        let table = coverage.table();
        assert!(
            table[0].contains("ADD")
                && table.iter().any(|line| line.starts_with("vrs.slow") && line.ends_with('4'))
        );
    }

    #[test]
    fn what_is_due_is_due_of_a_fault_that_there_is() {
        for (begin, operations) in DUE {
            assert!(fault::KINDS.iter().any(|kind| kind.name.starts_with(begin)), "{begin}");
            assert!(!operations.is_empty(), "{begin}");
        }
        assert_eq!(due("vrs.restart"), ["node"]);
        assert_eq!(due("kubelet.seven_dels"), [""; 0]);
    }

    #[test]
    fn what_cannot_be_met_yet_is_a_fault_that_there_is() {
        for (name, _) in UNREACHABLE {
            assert!(fault::KINDS.iter().any(|kind| kind.name.starts_with(name)), "{name}");
        }
    }
}
