//! Definitions of faults by name: the emulators' from their registry, and those around the plugin, which strike in its
//! seams and are asked for there.

use nuage_emulator::faults::{ALL, Definition, Effect, Parameter, Takes};

const WHEN: Parameter = Parameter {
    name: "when",
    about: "before the call looks at it, before the link is made in it, or before the link is configured",
    takes: Takes::Word(&["before", "create", "configure"]),
};
const OPERATION: Parameter = Parameter {
    name: "op",
    about: "only calls of this command",
    takes: Takes::Word(&["any", "ADD", "DEL", "CHECK", "GC", "STATUS"]),
};

const AFTER: Parameter =
    Parameter { name: "after", about: "how long after the call has begun", takes: Takes::Span(300) };

const fn around(name: &'static str, about: &'static str, parameters: &'static [Parameter]) -> Definition {
    Definition { name, about, effect: Effect::Asked, parameters }
}

/// Faults around the plugin.
pub(super) const AROUND: &[Definition] = &[
    around(
        "node.netns_gone",
        "A sandbox's network namespace goes away while the plugin works on it.",
        &[WHEN],
    ),
    around("node.disk_full", "Nothing can be written on the node's disk: ENOSPC.", &[OPERATION]),
    around("kubelet.add_repeated", "ADD is called again for a sandbox that is up.", &[]),
    around("kubelet.add_doubled", "Two ADDs of one sandbox are called at once.", &[]),
    around(
        "kubelet.result_lost",
        "The result of an ADD that succeeded is lost, and the sandbox is taken down.",
        &[],
    ),
    around(
        "kubelet.timeout",
        "A runtime gives a call up before its time and kills the plugin.",
        &[OPERATION, AFTER],
    ),
    around("kubelet.del_during_add", "DEL is called while the ADD of the same sandbox runs.", &[AFTER]),
    around("kubelet.del_without_add", "DEL is called for a sandbox that no ADD was called for.", &[]),
    around(
        "kubelet.forgets",
        "A runtime forgets a sandbox that it has to take down: it goes, and DEL is never called.",
        &[],
    ),
    around("kubelet.seven_dels", "DEL is called seven times, six of them without a namespace.", &[]),
    around(
        "kubelet.no_infra_id",
        "A call comes without K8S_POD_INFRA_CONTAINER_ID, which is a convention of runtimes and no promise.",
        &[],
    ),
    around("kubelet.check_after_add", "CHECK is called as soon as ADD has succeeded, as CRI-O does.", &[]),
    around(
        "plugin.killed",
        "The plugin's process is killed at one of the points at which it waits.",
        &[OPERATION],
    ),
];

/// All definitions.
pub(super) fn all() -> impl Iterator<Item = &'static Definition> {
    ALL.iter().chain(AROUND)
}

/// The definition of a fault by its name; a name that nobody has defined does not compile.
pub(super) const fn definition(name: &str) -> &'static Definition {
    if let Some(found) = among(ALL, name) {
        return found;
    }
    match among(AROUND, name) {
        Some(found) => found,
        None => unknown(),
    }
}

#[expect(clippy::panic, reason = "evaluated by the compiler alone: a misspelt name is a failed build")]
const fn unknown() -> ! {
    panic!("there is no fault of this name")
}

const fn among(definitions: &'static [Definition], name: &str) -> Option<&'static Definition> {
    let mut position = 0;
    while position < definitions.len() {
        if same(definitions[position].name.as_bytes(), name.as_bytes()) {
            return Some(&definitions[position]);
        }
        position += 1;
    }
    None
}

/// Whether two names are equal, at compile time.
const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// The kind of a fault that strikes where it is asked for.
macro_rules! struck {
    ($name:literal) => {
        crate::scenario::registry::Kind {
            name: const { crate::fault::definitions::definition($name).name },
            about: const { crate::fault::definitions::definition($name).about },
            read: |reader| {
                crate::fault::striking::read(reader, const { crate::fault::definitions::definition($name) })
            },
        }
    };
}
pub(super) use struck;
