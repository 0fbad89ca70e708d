//! What the VRS has, kept from its changes: ports, entities and who lists whom. Pure; never decides when.

use std::collections::{BTreeMap, BTreeSet};

use nuage_ovsdb::Uuid;
use nuage_ovsdb::client::RowChange;

use super::rows::{ENTITIES, Entity, PORTS, Port, Power};

#[derive(Debug, Default)]
pub(super) struct View {
    ports: BTreeMap<Uuid, Port>,
    named: BTreeMap<String, BTreeSet<Uuid>>,
    entities: BTreeMap<Uuid, Entity>,
    by_uuid: BTreeMap<String, BTreeSet<Uuid>>,
    listing: BTreeMap<String, BTreeSet<Uuid>>,
}

/// What the VSD is to have for an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing.
    Absent,
    /// Whatever it has.
    Unchanged,
    /// Whatever it has, as nobody's here: it has moved to another VRS.
    Elsewhere,
    /// A machine with an interface for each port. Ports that are listed without a row are not there yet.
    Present(Entity, Vec<Port>),
}

impl View {
    /// Takes in a change. Returns the entities (by `vm_uuid`) that it matters to.
    pub(super) fn apply(&mut self, change: &RowChange) -> BTreeSet<String> {
        match change.table.as_str() {
            PORTS => self.port(change),
            ENTITIES => self.entity(change),
            _ => BTreeSet::new(),
        }
    }

    fn port(&mut self, change: &RowChange) -> BTreeSet<String> {
        let old = self.ports.remove(&change.uuid);
        let new = change.new.as_ref().map(|row| Port::read(change.uuid, row));
        if let (Some(old), Some(new)) = (&old, &new)
            && old.asked == new.asked
            && !new.answer.address.is_empty()
        {
            // Our own answer comes back: nothing to do.
            self.ports.insert(change.uuid, new.clone());
            return BTreeSet::new();
        }
        let mut touched = BTreeSet::new();
        for (port, add) in [(&old, false), (&new, true)] {
            let Some(port) = port else { continue };
            let name = &port.asked.name;
            touched.extend(self.listed(name));
            relate(&mut self.named, name, change.uuid, add);
        }
        self.ports.extend(new.map(|port| (change.uuid, port)));
        touched
    }

    fn entity(&mut self, change: &RowChange) -> BTreeSet<String> {
        let old = self.entities.remove(&change.uuid);
        let new = change.new.as_ref().map(Entity::read);
        let mut touched = BTreeSet::new();
        for (entity, add) in [(&old, false), (&new, true)] {
            let Some(entity) = entity else { continue };
            relate(&mut self.by_uuid, &entity.uuid, change.uuid, add);
            for port in &entity.ports {
                relate(&mut self.listing, port, change.uuid, add);
            }
            touched.insert(entity.uuid.clone());
        }
        self.entities.extend(new.map(|entity| (change.uuid, entity)));
        touched
    }

    fn listed(&self, port: &str) -> impl Iterator<Item = String> {
        let rows = self.listing.get(port).into_iter().flatten();
        rows.filter_map(|row| self.entities.get(row)).map(|entity| entity.uuid.clone())
    }

    /// Whether there is a row of this entity.
    pub(super) fn has(&self, uuid: &str) -> bool {
        self.by_uuid.contains_key(uuid)
    }

    /// All entities that have rows.
    pub(super) fn entities(&self) -> impl Iterator<Item = &String> {
        self.by_uuid.keys()
    }

    /// What an entity's rows say. Of several rows with its `vm_uuid`, those that are on count together.
    pub(super) fn wanted(&self, uuid: &str) -> Wanted {
        let rows = self.by_uuid.get(uuid).into_iter().flatten();
        let rows: Vec<&Entity> = rows.filter_map(|row| self.entities.get(row)).collect();
        let mut on = rows.iter().filter(|entity| entity.power == Power::On).peekable();
        if let Some(first) = on.peek() {
            let entity = Entity::clone(first);
            let names: BTreeSet<&String> = on.flat_map(|entity| &entity.ports).collect();
            // Of several rows of one name the lowest counts: one interface cannot be two.
            let row = |name: &String| self.ports.get(self.named.get(name)?.first()?).cloned();
            return Wanted::Present(entity, names.into_iter().filter_map(row).collect());
        }
        if rows.iter().any(|entity| entity.power == Power::Away) {
            return Wanted::Elsewhere;
        }
        let absent = rows.is_empty() || rows.iter().any(|entity| entity.power == Power::Off);
        if absent { Wanted::Absent } else { Wanted::Unchanged }
    }
}

fn relate(index: &mut BTreeMap<String, BTreeSet<Uuid>>, key: &str, row: Uuid, add: bool) {
    if add {
        index.entry(key.to_owned()).or_default().insert(row);
    } else if let Some(rows) = index.get_mut(key) {
        rows.remove(&row);
        if rows.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use nuage_ovsdb::value::Row;
    use serde_json::{Value, json};

    use super::*;

    fn change(table: &str, id: u128, new: Option<Value>) -> RowChange {
        let new = new.map(|row| row.as_object().unwrap().clone().into_iter().collect::<Row>());
        RowChange { table: table.to_owned(), uuid: Uuid::from_u128(id), old: None, new }
    }

    fn on(ports: &Value) -> Value {
        json!({ "type": 4, "vm_uuid": "u", "vm_name": "pod", "ports": ports, "event": 2, "event_type": 0, "state": 1 })
    }

    fn names(view: &View) -> Vec<String> {
        match view.wanted("u") {
            Wanted::Present(_, ports) => ports.into_iter().map(|port| port.asked.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_entity_is_wanted_with_the_listed_ports_that_have_rows_in_whatever_order_they_come() {
        let mut view = View::default();
        assert_eq!(view.wanted("u"), Wanted::Absent);
        let touched = view.apply(&change(PORTS, 1, Some(json!({ "name": "a" }))));
        assert!(touched.is_empty(), "nobody lists it");
        let touched = view.apply(&change(ENTITIES, 2, Some(on(&json!(["set", ["a", "b"]])))));
        assert_eq!((touched, names(&view)), (BTreeSet::from(["u".to_owned()]), vec!["a".to_owned()]));
        let touched = view.apply(&change(PORTS, 3, Some(json!({ "name": "b" }))));
        assert_eq!((touched.len(), names(&view)), (1, vec!["a".to_owned(), "b".to_owned()]));
        view.apply(&change(ENTITIES, 2, Some(on(&json!("b")))));
        assert_eq!(names(&view), ["b"]);
        assert_eq!(view.apply(&change(PORTS, 3, None)).len(), 1);
        assert!(names(&view).is_empty());
        view.apply(&change(ENTITIES, 2, None));
        assert!(view.wanted("u") == Wanted::Absent && !view.has("u"));
    }

    #[test]
    fn the_controllers_own_answer_touches_nobody_but_one_that_is_wiped_does() {
        let mut view = View::default();
        view.apply(&change(ENTITIES, 2, Some(on(&json!("a")))));
        view.apply(&change(PORTS, 1, Some(json!({ "name": "a", "ip_addr": "" }))));
        assert!(
            view.apply(&change(PORTS, 1, Some(json!({ "name": "a", "ip_addr": "10.0.0.2" })))).is_empty()
        );
        assert_eq!(view.apply(&change(PORTS, 1, Some(json!({ "name": "a", "ip_addr": "" })))).len(), 1);
    }

    #[test]
    fn events_switch_an_entity_on_and_off_and_others_leave_it() {
        let mut view = View::default();
        for (event, kind, state, expected) in [
            (0, 0, 1, Wanted::Unchanged),
            (5, 0, 5, Wanted::Absent),
            (1, 0, 1, Wanted::Absent),
            (5, 3, 5, Wanted::Elsewhere),
            (3, 0, 3, Wanted::Unchanged),
            (2, 0, 3, Wanted::Unchanged),
        ] {
            let row = json!({ "vm_uuid": "u", "event": event, "event_type": kind, "state": state });
            view.apply(&change(ENTITIES, 2, Some(row)));
            assert_eq!(view.wanted("u"), expected, "{event}/{kind} {state}");
        }
    }
}
