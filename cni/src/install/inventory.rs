//! What a switch has of containers, counted for whoever takes over from the original: which scheme their ports are named by, what is
//! not whole. Only reads, and only counts: the audit judges.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::subject::{Index, is_old_name, is_recent_name};
use crate::config::NodeConfig;
use crate::error::Error;
use crate::node;
use crate::orchestrator::Orchestrator;
use crate::vrs::{EntityRow, Survey, Vrs};

/// How long the switch may take to tell.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the switch's rows and counts.
///
/// # Errors
/// Code 11 where the switch cannot be reached, or what it refused.
pub(super) async fn take(config: &NodeConfig, orchestrator: Orchestrator) -> Result<Inventory, Error> {
    let vrs = Vrs::open(&node::host(), config, Instant::now() + PATIENCE).await?;
    Ok(Inventory::of(&vrs.survey().await?, orchestrator))
}

/// How a port is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scheme {
    /// As this plugin does, and stamps it.
    Stamped,
    /// As the original does since May 2018.
    Recent,
    /// As it did before.
    Old,
    /// Otherwise.
    Other,
}

fn scheme(orchestrator: Orchestrator, index: &Index<'_>, entity: &EntityRow, name: &str) -> Scheme {
    if index.is_stamped(name) {
        Scheme::Stamped
    } else if is_recent_name(name) {
        Scheme::Recent
    } else if is_old_name(orchestrator, name, &entity.uuid) {
        Scheme::Old
    } else {
        Scheme::Other
    }
}

/// How many there are of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    containers: usize,
    /// Ports of containers by the scheme of their names.
    ports: BTreeMap<Scheme, usize>,
    /// Ports of containers without an address.
    unresolved: usize,
    /// Ports of containers that lack their Nuage row or their port of the bridge.
    incomplete: usize,
    /// Nuage rows that no entity lists.
    unowned: usize,
    /// Entities that are no containers.
    others: usize,
}

impl Inventory {
    fn of(survey: &Survey, orchestrator: Orchestrator) -> Self {
        let (containers, others): (Vec<_>, Vec<_>) =
            survey.entities.iter().partition(|entity| entity.is_container);
        let index = Index::of(survey);
        let mut counted = Self { containers: containers.len(), others: others.len(), ..Self::default() };
        let ports =
            containers.iter().flat_map(|entity| entity.ports.iter().map(move |port| (entity, port.as_str())));
        for (entity, name) in ports {
            *counted.ports.entry(scheme(orchestrator, &index, entity, name)).or_default() += 1;
            match (index.nuage_ports.get(name), index.switch_ports.contains_key(name)) {
                (Some(row), true) if row.address.is_empty() => counted.unresolved += 1,
                (Some(_), true) => {}
                _ => counted.incomplete += 1,
            }
        }
        counted.unowned = index.nuage_ports.keys().filter(|name| !index.entities.contains_key(*name)).count();
        counted
    }
}

/// A number and its noun.
fn many(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

impl fmt::Display for Inventory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |scheme| self.ports.get(&scheme).copied().unwrap_or_default();
        write!(
            formatter,
            "found {} on the switch; of their ports {} named as the original does since May 2018, {} as before, {} as this plugin \
             does, {} otherwise",
            many(self.containers, "container", "containers"),
            many(count(Scheme::Recent), "is", "are"),
            count(Scheme::Old),
            count(Scheme::Stamped),
            count(Scheme::Other),
        )?;
        let rest = [
            (self.unresolved, "has no address yet", "have no address yet"),
            (self.incomplete, "lacks a row", "lack a row"),
            (self.unowned, "belongs to no container", "belong to no container"),
        ];
        for (found, one, several) in rest.into_iter().filter(|(count, ..)| *count > 0) {
            write!(formatter, "; {}", many(found, one, several))?;
        }
        if self.others > 0 {
            write!(
                formatter,
                "; {} no containers and nobody's business",
                many(self.others, "entity is", "entities are")
            )?;
        }
        formatter.write_str("; none is touched")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrs::{NuagePortRow, SwitchPortRow, rows};

    #[test]
    fn each_scheme_and_whatever_is_not_whole_is_counted_once() {
        let entity = |uuid: &str, ports: &[&str], is_container| EntityRow {
            uuid: uuid.to_owned(),
            ports: ports.iter().map(|&port| port.to_owned()).collect(),
            is_container,
            ..EntityRow::default()
        };
        let port = |name: &str, address: &str| NuagePortRow {
            name: name.to_owned(),
            address: address.to_owned(),
            ..NuagePortRow::default()
        };
        let on_bridge = |name: &str, stamp: Option<&str>| SwitchPortRow {
            name: name.to_owned(),
            stamps: stamp.map(|stamp| (stamp.to_owned(), "x".to_owned())).into_iter().collect(),
        };
        let survey = Survey {
            entities: vec![
                entity("a", &["nu0123456789abc"], true),
                entity("b", &["0e9d71f5ee7c92d", "nuaaaaaaaaaaaaa"], true),
                entity("c", &["veth7"], true),
                entity("vm", &["tap0"], false),
            ],
            nuage_ports: vec![
                port("nu0123456789abc", "10.0.0.2"),
                port("0e9d71f5ee7c92d", ""),
                port("nuaaaaaaaaaaaaa", "10.0.0.3"),
                port("tap0", "10.0.0.9"),
                port("nubbbbbbbbbbbbb", "10.0.0.4"),
            ],
            switch_ports: vec![
                on_bridge("nu0123456789abc", None),
                on_bridge("0e9d71f5ee7c92d", None),
                on_bridge("nuaaaaaaaaaaaaa", Some(rows::SANDBOX_STAMP)),
            ],
            bridge: true,
        };
        let counted = Inventory::of(&survey, Orchestrator::Kubernetes);
        assert_eq!(
            counted.to_string(),
            "found 3 containers on the switch; of their ports 1 is named as the original does since May 2018, 1 as before, 1 as this \
             plugin does, 1 otherwise; 1 has no address yet; 1 lacks a row; 1 belongs to no container; 1 entity is no containers and \
             nobody's business; none is touched"
        );
    }
}
