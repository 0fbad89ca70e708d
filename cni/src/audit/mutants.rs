//! Bugs of the original's audit that take more than a line at their places. Only with the feature `mutants`; never in what is
//! shipped.

use std::collections::{BTreeMap, BTreeSet};

use super::containers::{Testimony, Word};
use super::judge::{Judgement, Presence, Verdict};
use super::subject::{Observation, Owner, Subject};
use crate::mutants::MARK;
use crate::vrs::Vrs;

const CONDEMNED: Judgement = Judgement { verdict: Verdict::Candidate, reason: MARK };

/// A1: every entity goes whose name is no pod's of this node.
pub(super) async fn take_strangers(vrs: &Vrs, observation: &Observation) {
    let Some(pods) = observation.testimony.pods.told() else { return };
    for entity in &observation.survey.entities {
        if pods.iter().any(|pod| pod.name == entity.name) {
            continue;
        }
        let ports: BTreeSet<String> = entity.ports.iter().cloned().collect();
        if let Ok(detached) = vrs.detach(&entity.uuid, &ports).await {
            let _ = vrs.remove_ports(&ports, &detached).await;
        }
    }
}

/// A2: two pods of one name are none.
pub(super) fn condemn_namesakes(mut subjects: Vec<Subject>) -> Vec<Subject> {
    let mut homes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for subject in &subjects {
        if let Owner::Pod(pod) = &subject.owner {
            homes.entry(pod.name.clone()).or_default().insert(pod.namespace.clone());
        }
    }
    for subject in &mut subjects {
        if matches!(&subject.owner, Owner::Pod(pod) if homes[&pod.name].len() > 1) {
            subject.judgement = CONDEMNED;
        }
    }
    subjects
}

/// A6: a list without any pod is believed.
pub(super) fn believe_an_empty_list(mut subjects: Vec<Subject>, observation: &Observation) -> Vec<Subject> {
    if observation.testimony.pods.told().is_some_and(super::containers::Pods::is_empty) {
        for subject in subjects.iter_mut().filter(|subject| subject.facts.link == Presence::There) {
            subject.judgement = CONDEMNED;
        }
    }
    subjects
}

/// A7: a daemon outside the cluster cannot list pods.
pub(super) fn hear_nobody(testimony: Testimony) -> Testimony {
    Testimony { pods: Word::Silent("there is no service account".to_owned()), ..testimony }
}
