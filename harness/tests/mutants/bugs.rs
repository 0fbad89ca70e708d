//! What is known to have been wrong in the original (its plugin B, its audit A, its monitor M), and where it is met here.

use nuage_harness::world::sim::Wrap;

use super::with;

/// One that is put back.
pub(super) struct Bug {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The scenario of the library that catches it.
    pub(super) scenario: &'static str,
    pub(super) wrap: Wrap,
}

/// One of the monitor, which the emulated monitor has as a fault.
pub(super) struct OfMonitor {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) fault: &'static str,
    /// A scenario of the library in which it strikes.
    pub(super) scenario: &'static str,
}

/// One that no run can meet.
pub(super) struct Elsewhere {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) why: &'static str,
    /// Tests, `FILE::TEST`.
    pub(super) held_by: &'static [&'static str],
}

macro_rules! bug {
    ($name:literal, $scenario:literal, $about:literal) => {
        Bug { name: $name, about: $about, scenario: $scenario, wrap: |_, host| with(host, $name) }
    };
}

pub(super) const BUGS: &[Bug] = &[
    bug!(
        "B1",
        "failures/vrs-restart-during-churn",
        "ADD and DEL try for ever to connect to a switch that is away"
    ),
    bug!(
        "B2",
        "failures/controller-is-slow-or-silent",
        "an ADD that is not resolved in time leaves everything behind"
    ),
    bug!(
        "B3",
        "failures/switch-sends-slowly-and-in-parts",
        "the notice of a port that is resolved before somebody listens is lost"
    ),
    bug!(
        "B4",
        "failures/plugin-killed-by-chance",
        "DEL does nothing, and says that it has, unless the sandbox has exactly one port"
    ),
    bug!(
        "B5",
        "failures/monitor-down-during-drain",
        "DEL fails before it has taken anything away when the monitor cannot be reached"
    ),
    bug!("B6", "failures/vrs-restart-during-churn", "what a DEL could not take away is forgotten"),
    bug!(
        "B8",
        "everyday/known-by-the-container-id-alone",
        "a sandbox is known by `K8S_POD_INFRA_CONTAINER_ID` alone"
    ),
    bug!("B9", "abuse/repeated-calls", "a repeated ADD deletes the link of the pod that is up"),
    bug!("B10", "failures/switch-refuses-rows", "operations that the switch refuses count as done"),
    bug!("B12", "everyday/one-pod", "every result has the shape of version 0.2.0"),
    bug!("B14", "failures/monitor-answers-late", "nothing that is asked of others has a limit of time"),
    bug!(
        "B18",
        "failures/every-call-in-trouble",
        "the process ends without an error object when the switch goes away"
    ),
    bug!("B22", "failures/controller-answers-wrong", "0.0.0.0 is an address"),
    bug!(
        "A1",
        "audit/the-only-one-to-clean-up",
        "entities of others are deleted: virtual machines, other drivers' containers"
    ),
    bug!(
        "A2",
        "audit/same-names-on-one-node",
        "two pods of one name in two namespaces both lose their ports"
    ),
    bug!("A4", "audit/the-only-one-to-clean-up", "the first port of somebody else ends the pass"),
    bug!("A6", "audit/api-server-cannot-be-believed", "an empty list of pods is believed"),
    bug!("A7", "audit/the-only-one-to-clean-up", "a daemon outside the cluster cannot list pods"),
    bug!(
        "A10",
        "audit/killed-and-never-called-again",
        "the daemon ends when the switch does not come back at once"
    ),
];

macro_rules! of_monitor {
    ($name:literal, $fault:literal, $scenario:literal, $about:literal) => {
        OfMonitor { name: $name, about: $about, fault: $fault, scenario: $scenario }
    };
}

pub(super) const MONITOR: &[OfMonitor] = &[
    of_monitor!(
        "M3",
        "monitor.dot_when_full",
        "failures/no-address-block-is-left",
        "where all subnets are full the answer is a subnet called \".\""
    ),
    of_monitor!(
        "M6",
        "monitor.one_loop",
        "failures/monitor-as-it-was",
        "one loop serves everybody: a slow VSD holds up every ADD"
    ),
    of_monitor!(
        "M7",
        "monitor.counts_names",
        "failures/monitor-as-it-was",
        "pods are counted by name, and one that comes again shares its place"
    ),
    of_monitor!(
        "M9",
        "monitor.forgets_pool",
        "failures/monitor-restarts",
        "after a restart all address blocks are free again"
    ),
    of_monitor!(
        "M11",
        "monitor.no_server",
        "failures/monitor-restarts",
        "after an error at its start there is a process and no server"
    ),
];

macro_rules! elsewhere {
    ($name:literal, $about:literal, $why:expr $(, $test:literal)*) => {
        Elsewhere { name: $name, about: $about, why: $why, held_by: &[$($test),*] }
    };
}

const NO_CALL: &str =
    "no call of the plugin or the audit comes near it; the emulated monitor is another program";

pub(super) const ELSEWHERE: &[Elsewhere] = &[
    elsewhere!(
        "B7",
        "the row of a pod has its bare name",
        "the monitor looks pods up by it, so it stays; what the audit made of it is A2",
        "cni/tests/audit/originals_bugs.rs::a2_pods_of_one_name_in_two_namespaces_both_live"
    ),
    elsewhere!(
        "B11",
        "`vrsbridge` and `cniversion` have no effect",
        "all simulated switches have the same bridge",
        "cni/src/config/tests.rs::every_key_of_the_node_file_has_its_effect"
    ),
    elsewhere!(
        "B13",
        "of several policy groups the last one counts",
        "no invariant looks at policy groups",
        "cni/src/config/tests.rs::every_key_of_the_node_file_has_its_effect"
    ),
    elsewhere!(
        "B15",
        "`mtu` and `staleentrytimeout` have no default",
        "the simulated kernel carries no packet; the other is A8",
        "cni/src/config/tests.rs::a_default_that_is_written_down_is_the_default"
    ),
    elsewhere!(
        "B16",
        "an unknown log level is silence",
        "no invariant looks at how much is logged",
        "cni/src/config/tests.rs::a_wrong_value_names_its_file_and_never_becomes_a_default"
    ),
    elsewhere!(
        "B17",
        "each logged error leaves files in /tmp",
        "the plugin has one log, whose place is configured, and a simulated process has no /tmp"
    ),
    elsewhere!(
        "B19",
        "processes rotate the same log file at once",
        "a simulated log is lines in memory",
        "cni/src/node/log.rs::writers_in_parallel_lose_no_line_and_tear_none_while_the_log_is_rotated"
    ),
    elsewhere!(
        "B20",
        "each failed try leaves a socket open",
        "within the time of one call that is a dozen, which its end closes; the invariant that it would break is proven on more of them",
        "harness/tests/invariants/main.rs::what_is_broken_on_purpose_violates_the_invariant_that_is_about_it"
    ),
    elsewhere!(
        "B21",
        "the pod of that name is taken for the one that was asked for",
        "what the other one chose (zone, subnet, user) is a place like any other to every invariant",
        "cni/tests/placement.rs::a_pod_that_was_made_again_under_its_name_is_not_taken_for_the_one_that_was_asked_for"
    ),
    elsewhere!(
        "A3",
        "two rows of one entity went, and the monitor was not told",
        "only a switch that somebody else has written to has two",
        "cni/tests/audit/originals_bugs.rs::a3_two_rows_of_one_entity_both_go_and_the_monitor_is_told"
    ),
    elsewhere!(
        "A5",
        "a port that comes back has no grace period any more",
        "a second look at the pod still protects what lives",
        "cni/tests/audit/originals_bugs.rs::a5_a_port_that_comes_back_has_its_whole_grace_period_again"
    ),
    elsewhere!(
        "A8",
        "without `staleentrytimeout` everything is stale at once",
        "a second observation, the sandbox's lock and a second look still protect what lives",
        "cni/tests/audit/originals_bugs.rs::a8_without_a_staleentrytimeout_the_grace_period_is_ten_minutes"
    ),
    elsewhere!(
        "A9",
        "a port or link without a row of Nuage's is not seen",
        "ours makes and removes the rows and the port in one transaction, and a link goes with its namespace",
        "cni/tests/audit/originals_bugs.rs::a9_a_port_and_a_link_without_a_row_of_nuages_are_seen_and_go"
    ),
    elsewhere!(
        "A11",
        "the link is deleted by a name that is not its own",
        "the original deleted it by another name, too, so that nothing came of it",
        "cni/tests/audit/originals_bugs.rs::a11_the_link_that_goes_is_the_ports_own"
    ),
    elsewhere!(
        "A12",
        "rows without a name are deleted, whoever is making them",
        "no other driver makes rows in a simulated cluster; the virtual machine that stands there is A1",
        "cni/tests/audit/originals_bugs.rs::a12_half_made_rows_of_others_without_a_name_stay"
    ),
    elsewhere!(
        "A13",
        "all containers of Mesos are stale",
        "the simulated cluster is one of Kubernetes",
        "cni/tests/audit/mesos.rs::a13_containers_of_mesos_are_known_by_what_stands_in_their_rows",
        "harness/tests/mesos.rs::what_an_agent_runs_stays_and_what_it_does_not_goes"
    ),
    elsewhere!(
        "A14",
        "a container that cannot be inspected is a crash, or a name that is empty",
        "no Docker engine is asked any more",
        "cni/tests/audit/originals_bugs.rs::a14_a_witness_that_answers_nobody_is_no_crash_and_no_verdict"
    ),
    elsewhere!(
        "M1",
        "policies of one name in two namespaces are one",
        NO_CALL,
        "emulator/tests/monitor/policies.rs::a_policy_becomes_groups_and_entries_of_both_directions_and_its_pods_are_told_of_them"
    ),
    elsewhere!("M2", "the shipped configuration does not parse", NO_CALL),
    elsewhere!(
        "M4",
        "a new subnet forgets how many pods the old one has",
        NO_CALL,
        "emulator/tests/monitor/growth.rs::a_storm_of_pods_gets_as_many_subnets_as_it_needs_and_no_pod_two_places"
    ),
    elsewhere!("M5", "namespaces are read while they are written", "the compiler refuses it"),
    elsewhere!(
        "M8",
        "of a namespace that goes, subnets beyond the first stay",
        NO_CALL,
        "harness/tests/loads.rs::namespaces_come_with_their_pods_and_leave_nothing_in_the_vsd"
    ),
    elsewhere!(
        "M10",
        "after a restart policies and services are not in memory",
        NO_CALL,
        "emulator/tests/monitor/main.rs::a_restarted_monitor_finds_what_the_one_before_made"
    ),
    elsewhere!(
        "M12",
        "GET and DELETE have no effect",
        "kept: the plugin never asks so",
        "emulator/tests/monitor/main.rs::get_is_404_delete_is_200_without_effect_and_other_paths_and_methods_are_refused"
    ),
    elsewhere!(
        "M13",
        "the search for a free priority goes to and fro for ever",
        NO_CALL,
        "emulator/tests/monitor/policies.rs::a_policy_that_cannot_be_carried_out_leaves_nothing_behind"
    ),
    elsewhere!("M14", "encryption is asked of the template and refused to the domain", NO_CALL),
    elsewhere!(
        "M15",
        "a pod's port is looked for by the pod's bare name in the whole domain",
        NO_CALL,
        "emulator/tests/monitor/policies.rs::pods_that_are_there_before_a_policy_become_members_and_a_changed_policy_is_carried_out"
    ),
];
