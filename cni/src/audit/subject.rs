//! What the observations know of each attachment, put together by port and judged. Pure. Also says what is ours: what the
//! journal has, what carries our stamp, and what follows the original's naming. Everything else is foreign and only counted.

use std::collections::{BTreeMap, BTreeSet};

use super::containers::{PodInfo, Pods, Testimony, Word};
use super::facts::{boot_fact, found_fact, journal_fact, life_fact, rows_fact, sandbox_fact};
use super::judge::{Facts, Judgement, Namespace as NamespaceFact, Pod as PodFact, Presence, Sandbox, judge};
use crate::host::Namespaces;
use crate::journal::{Entry, Record, State};
use crate::orchestrator::{Identity, Orchestrator, Pod};
use crate::vrs::{EntityRow, NuagePortRow, OriginalNames, Survey, SwitchPortRow, rows};

/// The digits of a hash that the original's names have after `nu`, and had after a number before.
const RECENT_DIGITS: usize = 13;
const OLD_LENGTH: usize = 15;
/// The only interface that the original attached.
const ORIGINAL_INTERFACE: &str = "eth0";

/// Everything that was observed.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The node's orchestrator.
    pub orchestrator: Orchestrator,
    /// What the journal has, by port.
    pub journal: BTreeMap<String, Entry>,
    /// What the switch has.
    pub survey: Survey,
    /// The names of the host's links.
    pub links: Word<BTreeSet<String>>,
    /// The network namespaces.
    pub namespaces: Word<Namespaces>,
    /// What the sources say.
    pub testimony: Testimony,
    /// This boot; empty where the system tells none.
    pub boot_id: String,
}

/// How far an owner is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// By namespace and name, and by UID where the runtime told it.
    Pod(Pod),
    /// By its bare name, as the original wrote it: it can protect an attachment and never condemn one by itself.
    BareName(String),
    /// It is no pod's.
    NoPod,
    /// Nobody has written it down.
    Nobody,
}

impl Owner {
    /// Whether the orchestrator's runtime knows the sandbox while it lives. The runtime of Kubernetes knows pods alone: what podman or
    /// cnitool attached beside it is none of its business.
    pub fn is_runtimes_business(&self, orchestrator: Orchestrator) -> bool {
        orchestrator == Orchestrator::Mesos || *self != Self::NoPod
    }
}

/// One attachment, or what is left of one.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Names, as far as they are known; unknown ones are empty.
    pub identity: Identity,
    /// Its network's name, as far as it is known.
    pub network: String,
    /// Whose it is.
    pub owner: Owner,
    /// What the journal has of it.
    pub entry: Entry,
    /// Its address on the switch; empty until it is resolved.
    pub address: String,
    /// What is known of it.
    pub facts: Facts,
    /// What becomes of it.
    pub judgement: Judgement,
}

impl Subject {
    /// Its record.
    pub fn record(&self) -> Option<&Record> {
        match &self.entry {
            Entry::Record(record) => Some(record),
            Entry::Absent | Entry::Unreadable => None,
        }
    }

    /// The name of its lock: its sandbox's, or its own where no sandbox is known.
    pub fn lock_name(&self) -> &str {
        if self.identity.entity_uuid.is_empty() {
            &self.identity.port_name
        } else {
            &self.identity.entity_uuid
        }
    }

    /// `namespace/name` of its pod, or what is known instead.
    pub fn pod_name(&self) -> String {
        match &self.owner {
            Owner::Pod(pod) => format!("{}/{}", pod.namespace, pod.name),
            Owner::BareName(name) => format!("?/{name}"),
            Owner::NoPod | Owner::Nobody => "-".to_owned(),
        }
    }

    /// Whether nobody who could has said anything of it this time. `runtime_is_silent`: there is one, and it has not answered.
    pub fn is_unheard_of(&self, runtime_is_silent: bool) -> bool {
        self.facts.sandbox == Sandbox::Unknown
            && (self.facts.pod == PodFact::Unknown || (self.facts.pod == PodFact::None && runtime_is_silent))
    }

    /// The address that it has by its record where the switch says another; both.
    pub fn difference(&self) -> Option<(String, String)> {
        let record = self.record().filter(|record| record.state == State::Attached)?;
        let mine = record.addresses.first()?;
        let mine = mine.split('/').next().unwrap_or_default();
        let differs = !self.address.is_empty() && self.address != "0.0.0.0" && self.address != mine;
        differs.then(|| (mine.to_owned(), self.address.clone()))
    }
}

/// Rows of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// In `Nuage_VM_Table`.
    pub entities: usize,
    /// In `Nuage_Port_Table`.
    pub nuage_ports: usize,
    /// In `Port`.
    pub switch_ports: usize,
}

/// Whether a name is one that this plugin gives, and the original since May 2018.
pub fn is_recent_name(name: &str) -> bool {
    name.strip_prefix("nu").is_some_and(|digits| digits.len() == RECENT_DIGITS && digits.bytes().all(is_hex))
}

pub(super) fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

/// Whether the original gave this name before May 2018 to a port of the entity of this key: fifteen digits alone prove
/// nothing.
pub(crate) fn is_old_name(orchestrator: Orchestrator, name: &str, entity_uuid: &str) -> bool {
    if name.len() != OLD_LENGTH || !name.bytes().all(is_hex) || entity_uuid.is_empty() {
        return false;
    }
    let identity = original_identity(name, entity_uuid, "");
    let identity = Identity { ifname: format!("eth{}", &name[..1]), ..identity };
    OriginalNames::of(orchestrator, &identity).numbered.as_deref() == Some(name)
}

pub(super) fn original_identity(port: &str, entity_uuid: &str, name: &str) -> Identity {
    Identity {
        container_id: entity_uuid.to_owned(),
        ifname: ORIGINAL_INTERFACE.to_owned(),
        port_name: port.to_owned(),
        entity_uuid: entity_uuid.to_owned(),
        entity_name: name.to_owned(),
        pod: None,
    }
}

/// Rows by the name of their port.
pub(crate) struct Index<'a> {
    pub(crate) entities: BTreeMap<&'a str, &'a EntityRow>,
    pub(crate) nuage_ports: BTreeMap<&'a str, &'a NuagePortRow>,
    pub(crate) switch_ports: BTreeMap<&'a str, &'a SwitchPortRow>,
}

impl<'a> Index<'a> {
    pub(crate) fn of(survey: &'a Survey) -> Self {
        let listed = |entity: &'a EntityRow| entity.ports.iter().map(move |port| (port.as_str(), entity));
        Self {
            entities: survey.entities.iter().flat_map(listed).collect(),
            nuage_ports: survey.nuage_ports.iter().map(|row| (row.name.as_str(), row)).collect(),
            switch_ports: survey.switch_ports.iter().map(|row| (row.name.as_str(), row)).collect(),
        }
    }

    fn stamps(&self, name: &str) -> Option<&'a BTreeMap<String, String>> {
        self.switch_ports.get(name).map(|row| &row.stamps)
    }

    /// Whether a port of the switch carries our stamp.
    pub(crate) fn is_stamped(&self, name: &str) -> bool {
        self.stamps(name).is_some_and(|stamps| stamps.contains_key(rows::SANDBOX_STAMP))
    }

    /// Whether a port that no journal knows is ours.
    fn is_ours(&self, orchestrator: Orchestrator, name: &str) -> bool {
        if self.is_stamped(name) {
            return true;
        }
        let entity = self.entities.get(name);
        if entity.is_some_and(|entity| !entity.is_container) {
            return false;
        }
        let stamped = self.stamps(name).and_then(|stamps| stamps.get(rows::UUID_STAMP));
        let uuid = entity.map(|entity| &entity.uuid).or(stamped);
        is_recent_name(name) || uuid.is_some_and(|uuid| is_old_name(orchestrator, name, uuid))
    }
}

/// Puts together and judges; and counts what is not ours.
pub fn subjects(observation: &Observation) -> (Vec<Subject>, Foreign) {
    let index = Index::of(&observation.survey);
    let ours =
        |name: &str| observation.journal.contains_key(name) || index.is_ours(observation.orchestrator, name);
    let mut names: BTreeSet<&str> = observation.journal.keys().map(String::as_str).collect();
    let on_switch = index.entities.keys().chain(index.nuage_ports.keys()).chain(index.switch_ports.keys());
    names.extend(on_switch.copied().filter(|name| ours(name)));
    let links = observation.links.told().into_iter().flatten().map(String::as_str);
    names.extend(links.filter(|name| is_recent_name(name) && ours(name)));

    let known: Vec<Subject> = names.iter().map(|name| identify(observation, &index, name)).collect();
    let spare = spare_pod(observation, &known);
    let judged = known.into_iter().map(|subject| {
        let pod = pod_fact(observation, &subject, spare);
        let facts = Facts { pod, ..subject.facts };
        Subject { judgement: judge(facts), facts, ..subject }
    });
    let survey = &observation.survey;
    let foreign = Foreign {
        entities: survey.entities.iter().filter(|row| !row.ports.iter().any(|port| ours(port))).count(),
        nuage_ports: survey.nuage_ports.iter().filter(|row| !ours(&row.name)).count(),
        switch_ports: survey.switch_ports.iter().filter(|row| !ours(&row.name)).count(),
    };
    (judged.collect(), foreign)
}

/// Whose it is, and all facts but the pod's.
fn identify(observation: &Observation, index: &Index<'_>, name: &str) -> Subject {
    let entry = observation.journal.get(name).cloned().unwrap_or(Entry::Absent);
    let (identity, network, owner) = match &entry {
        Entry::Record(record) => {
            let owner = record.pod.clone().map_or(Owner::NoPod, Owner::Pod);
            (record.identity(), record.network.clone(), owner)
        }
        Entry::Absent | Entry::Unreadable => name_from_rows(observation.orchestrator, index, name),
    };
    let presence = |there: bool| if there { Presence::There } else { Presence::Gone };
    let link = observation.links.told().map_or(Presence::Unknown, |links| presence(links.contains(name)));
    let record = match &entry {
        Entry::Record(record) => Some(record),
        Entry::Absent | Entry::Unreadable => None,
    };
    let namespace = match (record, observation.namespaces.told()) {
        (Some(record), Some(found)) if record.netns_inode != 0 => {
            match found.inhabited.get(&record.netns_inode) {
                Some(true) => NamespaceFact::Inhabited,
                Some(false) => NamespaceFact::There,
                None if found.whole => NamespaceFact::Gone,
                None => NamespaceFact::Unknown,
            }
        }
        _ => NamespaceFact::Unknown,
    };
    let there = [
        index.entities.contains_key(name),
        index.nuage_ports.contains_key(name),
        index.switch_ports.contains_key(name),
    ];
    let sandboxes =
        observation.testimony.sandboxes().filter(|_| owner.is_runtimes_business(observation.orchestrator));
    let facts = Facts {
        pod: PodFact::Unknown,
        sandbox: sandbox_fact(sandboxes, &identity, link),
        link,
        journal: journal_fact(&entry),
        boot: boot_fact(record.map(|record| record.boot_id.as_str()), &observation.boot_id),
        namespace,
        rows: rows_fact(there),
    };
    let address = index.nuage_ports.get(name).map(|row| row.address.clone()).unwrap_or_default();
    Subject { identity, network, owner, entry, address, judgement: judge(facts), facts }
}

/// Names from our stamps, or the original's, or the entity's row.
fn name_from_rows(orchestrator: Orchestrator, index: &Index<'_>, name: &str) -> (Identity, String, Owner) {
    let empty = BTreeMap::new();
    let stamps = index.stamps(name).unwrap_or(&empty);
    let text = |key: &str| stamps.get(key).cloned().unwrap_or_default();
    let entity = index.entities.get(name);
    let key = entity.map_or_else(|| text(rows::UUID_STAMP), |entity| entity.uuid.clone());
    let entity_name = entity.map_or_else(|| text(rows::NAME_STAMP), |entity| entity.name.clone());
    if let Some(sandbox) = stamps.get(rows::SANDBOX_STAMP) {
        let uid = stamps.get(rows::POD_UID_STAMP).cloned();
        let pod = stamps.get(rows::NAMESPACE_STAMP).map(|namespace| Pod {
            namespace: namespace.clone(),
            name: text(rows::NAME_STAMP),
            uid,
        });
        let identity = Identity {
            container_id: sandbox.clone(),
            ifname: text(rows::INTERFACE_STAMP),
            port_name: name.to_owned(),
            entity_uuid: text(rows::UUID_STAMP),
            entity_name,
            pod: pod.clone(),
        };
        return (identity, text(rows::NETWORK_STAMP), pod.map_or(Owner::NoPod, Owner::Pod));
    }
    let owner = match (orchestrator, entity_name.is_empty()) {
        (Orchestrator::Mesos, _) => Owner::NoPod,
        (_, true) => Owner::Nobody,
        (_, false) => Owner::BareName(entity_name.clone()),
    };
    (original_identity(name, &key, &entity_name), String::new(), owner)
}

/// Whether a pod of this node has no attachment that is known to be its own.
fn spare_pod(observation: &Observation, subjects: &[Subject]) -> bool {
    let Some(pods) = observation.testimony.pods.told() else { return true };
    let has_one = |pod: &PodInfo| {
        subjects.iter().any(|subject| match &subject.owner {
            Owner::Pod(owner) => match &owner.uid {
                Some(uid) => pod.has_uid(uid),
                None => (&owner.namespace, &owner.name) == (&pod.namespace, &pod.name),
            },
            Owner::BareName(name) => *name == pod.name,
            Owner::NoPod | Owner::Nobody => false,
        })
    };
    pods.iter().any(|pod| pod.wants_port() && !has_one(pod))
}

fn pod_fact(observation: &Observation, subject: &Subject, spare: bool) -> PodFact {
    if subject.owner == Owner::NoPod {
        return PodFact::None;
    }
    let Some(pods) = observation.testimony.pods.told() else { return PodFact::Unknown };
    // No node is without any pod for long: an empty answer is no witness against what is there.
    if pods.is_empty() && subject.facts.link == Presence::There {
        return PodFact::Unknown;
    }
    match &subject.owner {
        Owner::Pod(pod) => found_fact(pod, find(pods, pod)),
        Owner::BareName(name) => {
            let named = pods.iter().filter(|pod| pod.name == *name && !pod.host_network);
            // Of several the one that lives counts.
            named.map(|pod| pod.life).min().map_or(PodFact::Absent, life_fact)
        }
        Owner::Nobody if spare => PodFact::Someone,
        Owner::Nobody => PodFact::Absent,
        Owner::NoPod => PodFact::None,
    }
}

fn find<'a>(pods: &'a Pods, pod: &Pod) -> Option<&'a PodInfo> {
    match &pod.uid {
        Some(uid) => pods.with_uid(uid),
        None => pods.iter().find(|known| (&known.namespace, &known.name) == (&pod.namespace, &pod.name)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::audit::containers::Life;
    use crate::audit::judge::{Boot, Journal, Rows, Verdict};

    /// A subject of that verdict.
    pub(in crate::audit) fn subject(port: &str, verdict: Verdict) -> Subject {
        let facts = Facts {
            pod: PodFact::Unknown,
            sandbox: Sandbox::Unknown,
            link: Presence::Unknown,
            journal: Journal::Absent,
            boot: Boot::Unknown,
            namespace: NamespaceFact::Unknown,
            rows: Rows::All,
        };
        Subject {
            identity: original_identity(port, "e", "n"),
            network: String::new(),
            owner: Owner::Nobody,
            entry: Entry::Absent,
            address: String::new(),
            facts,
            judgement: Judgement { verdict, reason: "pod_gone" },
        }
    }

    const SANDBOX: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
    const RECENT: &str = "nu7db556744f4c7";
    const OLD: &str = "07db556744f4c70";

    fn pod(namespace: &str, name: &str, uid: &str) -> PodInfo {
        PodInfo {
            namespace: namespace.into(),
            name: name.into(),
            uid: uid.into(),
            aliases: Vec::new(),
            life: Life::Running,
            host_network: false,
        }
    }

    fn observation(pods: Vec<PodInfo>) -> Observation {
        Observation {
            orchestrator: Orchestrator::Kubernetes,
            journal: BTreeMap::new(),
            survey: Survey::default(),
            links: Word::Told(BTreeSet::new()),
            namespaces: Word::Silent("nobody asked".into()),
            testimony: Testimony { pods: Word::Told(pods.into_iter().collect()), sandboxes: None },
            boot_id: "b".into(),
        }
    }

    /// An attachment as the original made it.
    fn with_original(mut observation: Observation, port: &str, uuid: &str, name: &str) -> Observation {
        observation.survey.entities.push(EntityRow {
            uuid: uuid.into(),
            name: name.into(),
            ports: vec![port.into()],
            is_container: true,
        });
        observation.survey.nuage_ports.push(NuagePortRow { name: port.into(), ..NuagePortRow::default() });
        let stamps = [(rows::UUID_STAMP, uuid), (rows::NAME_STAMP, name)];
        let stamps = stamps.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        observation.survey.switch_ports.push(SwitchPortRow { name: port.into(), stamps });
        observation
    }

    fn with_link(mut observation: Observation, name: &str) -> Observation {
        if let Word::Told(links) = &mut observation.links {
            links.insert(name.into());
        }
        observation
    }

    fn verdicts(observation: &Observation) -> Vec<(String, Verdict)> {
        let (subjects, _) = subjects(observation);
        subjects.into_iter().map(|found| (found.identity.port_name, found.judgement.verdict)).collect()
    }

    #[test]
    fn both_of_the_originals_namings_are_ours_and_fifteen_digits_alone_are_not() {
        let found = with_original(observation(vec![]), OLD, SANDBOX, "web");
        assert_eq!(verdicts(&found).len(), 1);
        let other = with_original(observation(vec![]), OLD, "0000", "web");
        let (known, foreign) = subjects(&other);
        assert!(known.is_empty());
        assert_eq!(foreign, Foreign { entities: 1, nuage_ports: 1, switch_ports: 1 });
    }

    #[test]
    fn rows_of_others_are_counted_and_no_subjects() {
        let mut found = observation(vec![]);
        for (port, name) in
            [("tap12345678-9a", "vm"), ("nlnabc", "c"), ("inf-nu-1", "nuage-infra"), ("svc-1", "svc")]
        {
            found = with_original(found, port, "u", name);
        }
        // A virtual machine that happens to have a name like ours.
        found = with_original(found, RECENT, SANDBOX, "vm");
        if let Some(row) = found.survey.entities.last_mut() {
            row.is_container = false;
        }
        let (known, foreign) = subjects(&found);
        assert!(known.is_empty(), "{known:?}");
        assert_eq!((foreign.entities, foreign.nuage_ports, foreign.switch_ports), (5, 5, 5));
    }

    #[test]
    fn a_bare_name_protects_what_has_a_link_and_nothing_else() {
        let twins = vec![pod("a", "web", "u1"), pod("b", "web", "u2")];
        let living = with_link(with_original(observation(twins.clone()), RECENT, SANDBOX, "web"), RECENT);
        assert_eq!(verdicts(&living)[0].1, Verdict::Keep);
        let dead = with_original(observation(twins), RECENT, SANDBOX, "web");
        assert_eq!(verdicts(&dead)[0].1, Verdict::Candidate);
    }

    #[test]
    fn what_names_nobody_may_be_any_pods_that_has_none() {
        let link = with_link(observation(vec![pod("a", "web", "u1")]), RECENT);
        assert_eq!(verdicts(&link)[0].1, Verdict::Keep);
        let accounted = with_original(link, "nu00000000000aa", "s2", "web");
        let found = verdicts(&accounted);
        assert!(found.contains(&(RECENT.to_owned(), Verdict::Candidate)), "{found:?}");
    }

    #[test]
    fn an_empty_answer_is_no_witness_against_a_link() {
        let nobody = with_link(with_original(observation(vec![]), RECENT, SANDBOX, "web"), RECENT);
        assert_eq!(verdicts(&nobody)[0].1, Verdict::Keep);
        let dead = with_original(observation(vec![]), RECENT, SANDBOX, "web");
        assert_eq!(verdicts(&dead)[0].1, Verdict::Candidate);
    }

    fn record(uid: Option<&str>, boot: &str) -> Record {
        let identity = Identity {
            pod: Some(Pod { namespace: "a".into(), name: "web-0".into(), uid: uid.map(str::to_owned) }),
            ..original_identity(RECENT, SANDBOX, "web-0")
        };
        let mut record = Record::intent(&identity, "net", boot.into(), 7);
        record.state = State::Attached;
        record
    }

    fn with_record(mut observation: Observation, record: Record) -> Observation {
        observation.journal.insert(record.port_name.clone(), Entry::Record(Box::new(record)));
        observation
    }

    #[test]
    fn a_pod_that_was_made_again_under_its_name_does_not_protect_the_old_ones_attachment() {
        let again = with_record(observation(vec![pod("a", "web-0", "new")]), record(Some("old"), "b"));
        let again = with_link(with_original(again, RECENT, SANDBOX, "web-0"), RECENT);
        assert_eq!(verdicts(&again)[0].1, Verdict::Candidate);
        let same = with_record(observation(vec![pod("a", "web-0", "old")]), record(Some("old"), "b"));
        let same = with_link(with_original(same, RECENT, SANDBOX, "web-0"), RECENT);
        assert_eq!(verdicts(&same)[0].1, Verdict::Keep);
    }

    #[test]
    fn a_static_pod_is_known_by_the_hash_of_its_file_with_or_without_its_mirror() {
        let hash = "0123456789abcdef0123456789abcdef";
        let mirrored = PodInfo { aliases: vec![hash.into()], ..pod("a", "web-0", "u") };
        let other = pod("a", "other", "v");
        for pods in [vec![mirrored, other.clone()], vec![other]] {
            let found = with_record(observation(pods), record(Some(hash), "b"));
            let found = with_link(with_original(found, RECENT, SANDBOX, "web-0"), RECENT);
            assert_eq!(verdicts(&found)[0].1, Verdict::Keep);
        }
    }

    #[test]
    fn what_is_no_pods_is_none_of_the_business_of_kubernetes_runtime() {
        let mut found = with_link(observation(vec![pod("a", "web", "u1")]), RECENT);
        found.testimony.sandboxes = Some(Word::Told([("other".to_owned(), true)].into()));
        let mut of_podman = record(None, "b");
        of_podman.pod = None;
        let found = with_record(with_original(found, RECENT, SANDBOX, "web"), of_podman);
        assert_eq!(verdicts(&found)[0].1, Verdict::Keep);
        let of_mesos = Observation { orchestrator: Orchestrator::Mesos, ..found };
        assert_eq!(verdicts(&of_mesos)[0].1, Verdict::Candidate);
    }

    #[test]
    fn what_an_earlier_boot_left_is_released_though_its_pod_runs_again() {
        let found = with_record(observation(vec![pod("a", "web-0", "u")]), record(Some("u"), "a"));
        assert_eq!(verdicts(&found)[0].1, Verdict::Release);
    }

    #[test]
    fn rows_of_a_running_pod_that_the_switch_lost_are_written_again() {
        let lost = with_record(observation(vec![pod("a", "web-0", "u")]), record(Some("u"), "b"));
        assert_eq!(verdicts(&with_link(lost, RECENT))[0].1, Verdict::Restore);
    }

    #[test]
    fn another_address_than_the_pods_is_seen() {
        let mut attached = record(Some("u"), "b");
        attached.addresses = vec!["10.0.0.5/24".into()];
        let mut found = with_original(observation(vec![]), RECENT, SANDBOX, "web-0");
        found.survey.nuage_ports[0].address = "10.0.0.9".into();
        let (known, _) = subjects(&with_record(found, attached));
        assert_eq!(known[0].difference(), Some(("10.0.0.5".into(), "10.0.0.9".into())));
    }
}
