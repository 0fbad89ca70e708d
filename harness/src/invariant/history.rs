//! A small model of what a runtime may be answered, call by call: an ADD that succeeded is a promise of one port and its
//! addresses, which holds until a DEL begins. Knows answers alone, neither rows nor links; where calls of an attachment
//! overlap, whatever a fair order of them could have answered fits.

use std::collections::BTreeMap;

use super::call::{Asked, Promise};

/// Node, sandbox and interface.
type Key = (usize, String, String);

/// How far an attachment is, by the answers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not there.
    #[default]
    Nothing,
    /// Promised.
    Up(Promise),
    /// A call was killed or failed, or two overlapped, and either is possible.
    Unknown,
}

/// What is known of an attachment.
#[derive(Clone, Debug, Default)]
struct Attachment {
    /// It was up until its sandbox was given up, and no ADD or DEL of it has begun since.
    let_go: bool,
    state: State,
    /// Calls that are running.
    adds: usize,
    dels: usize,
    /// How many have begun.
    adds_begun: u64,
    dels_begun: u64,
    /// Something was wrong in the world, or two calls overlapped, at some time.
    troubled: bool,
}

/// A call that has begun: what is compared at its end.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    key: Key,
    adds: u64,
    dels: u64,
    /// One of the other kind was running already.
    overlaps: bool,
    /// How often the switch had lost its rows.
    losses: u64,
    /// The attachment was up.
    was_up: bool,
    /// How many GCs had begun.
    collections: u64,
}

impl Begun {
    /// Whether the attachment was up when the call began.
    pub(crate) fn was_up(&self) -> bool {
        self.was_up
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It succeeded; of an ADD, with this promise.
    Success(Promise),
    /// It failed by itself.
    Failure,
    /// It was killed.
    Killed,
}

/// An answer that no fair order of calls explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// An address was promised to two.
    Address(String),
    /// Anything else.
    Answer(String),
}

/// The model.
#[derive(Debug, Default)]
pub(crate) struct History {
    attachments: BTreeMap<Key, Attachment>,
    /// To whom a port of a node, and an address of the cluster, is promised.
    ports: BTreeMap<(usize, String), Key>,
    addresses: BTreeMap<String, Key>,
    /// How often each node's switch lost its rows: the controller takes the addresses back then.
    losses: BTreeMap<usize, u64>,
    /// How many GCs of each node have begun.
    collections: BTreeMap<usize, u64>,
}

impl History {
    /// A call begins. `calm`: nothing is wrong anywhere.
    pub(crate) fn begin(&mut self, node: usize, asked: &Asked, calm: bool) -> Begun {
        let key = (node, asked.sandbox.clone(), asked.ifname.clone());
        let losses = self.losses.get(&node).copied().unwrap_or(0);
        if asked.command == "GC" {
            self.release_unlisted(node, &asked.valid);
            *self.collections.entry(node).or_default() += 1;
        }
        let collections = self.collections.get(&node).copied().unwrap_or(0);
        if !matches!(asked.command.as_str(), "ADD" | "DEL" | "CHECK") {
            return Begun { key, adds: 0, dels: 0, overlaps: false, losses, was_up: false, collections };
        }
        let is_up = |known: &Attachment| matches!(known.state, State::Up(_));
        let was_up = self
            .attachments
            .get(&key)
            .is_some_and(|known| is_up(known) || known.let_go && asked.command == "DEL");
        if asked.command == "DEL" {
            self.release(&key);
        }
        let is_add = asked.command == "ADD";
        // Of what is not there a DEL and a CHECK leave no memory.
        let known = self.attachments.entry(key.clone()).or_default();
        let overlaps = match asked.command.as_str() {
            "ADD" => known.dels > 0,
            "DEL" => known.adds > 0,
            _ => known.adds + known.dels > 0,
        };
        known.let_go &= asked.command == "CHECK";
        known.troubled |= !calm || known.adds + known.dels > 0;
        if is_add {
            known.adds += 1;
            known.adds_begun += 1;
        } else if asked.command == "DEL" {
            known.dels += 1;
            known.dels_begun += 1;
        }
        Begun { adds: known.adds_begun, dels: known.dels_begun, overlaps, losses, key, was_up, collections }
    }

    /// Whether another call of the attachment that changes it, or a GC of its node, ran at some time since a call began.
    pub(crate) fn overlapped(&self, begun: &Begun) -> bool {
        let collections = self.collections.get(&begun.key.0).copied().unwrap_or(0);
        let counts = self.attachments.get(&begun.key).map(|known| (known.adds_begun, known.dels_begun));
        let others = counts.is_some_and(|counts| counts != (begun.adds, begun.dels));
        begun.overlaps || others || collections != begun.collections
    }

    /// Whether a call of one of a sandbox's attachments runs.
    pub(crate) fn is_worked_on(&self, node: usize, sandbox: &str) -> bool {
        let from = (node, sandbox.to_owned(), String::new());
        let mut these =
            self.attachments.range(from..).take_while(|(key, _)| key.0 == node && key.1 == sandbox);
        these.any(|(_, known)| known.adds + known.dels > 0)
    }

    /// A call has ended: what of its answer does not fit, and whether the attachment was calm all the time.
    pub(crate) fn end(&mut self, begun: &Begun, asked: &Asked, end: End, calm: bool) -> (Vec<Misfit>, bool) {
        let Some(known) = self.attachments.get_mut(&begun.key) else { return (Vec::new(), false) };
        known.troubled |= !calm;
        let calm = !known.troubled;
        let misfits = match asked.command.as_str() {
            "ADD" => self.end_add(begun, end),
            "DEL" => {
                self.end_del(begun, &end);
                Vec::new()
            }
            "CHECK" => {
                let nothing = known.state == State::Nothing;
                let overlaps =
                    begun.overlaps || (begun.adds, begun.dels) != (known.adds_begun, known.dels_begun);
                let wrong = matches!(end, End::Success(_)) && nothing && !overlaps;
                wrong
                    .then(|| Misfit::Answer("CHECK of what is not there succeeded".to_owned()))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        };
        self.forget_if_nothing(&begun.key);
        (misfits, calm)
    }

    fn end_add(&mut self, begun: &Begun, end: End) -> Vec<Misfit> {
        let Some(known) = self.attachments.get_mut(&begun.key) else { return Vec::new() };
        known.adds = known.adds.saturating_sub(1);
        let overlaps = begun.overlaps || known.dels_begun != begun.dels;
        match (end, &known.state) {
            // Which of the two came last nobody can tell from outside.
            (End::Success(_), _) if overlaps => known.state = State::Unknown,
            (End::Success(_), State::Up(_)) => {
                return vec![Misfit::Answer("ADD of what is up succeeded".to_owned())];
            }
            (End::Success(promise), _) => return self.promise(begun, promise),
            (End::Killed, State::Nothing) => known.state = State::Unknown,
            (End::Killed | End::Failure, _) => {}
        }
        Vec::new()
    }

    fn promise(&mut self, begun: &Begun, promise: Promise) -> Vec<Misfit> {
        let Begun { key, .. } = begun;
        let mut misfits = Vec::new();
        if let Some(other) = self.ports.insert((key.0, promise.port.clone()), key.clone())
            && other != *key
        {
            let port = &promise.port;
            misfits.push(Misfit::Answer(format!("port {port} is promised to sandbox {} already", other.1)));
        }
        if self.losses.get(&key.0).copied().unwrap_or(0) == begun.losses {
            for address in &promise.addresses {
                if let Some(other) = self.addresses.insert(address.clone(), key.clone())
                    && other != *key
                {
                    misfits.push(Misfit::Address(format!(
                        "{address} is promised to sandbox {} already",
                        other.1
                    )));
                }
            }
        }
        if let Some(known) = self.attachments.get_mut(key) {
            known.state = State::Up(promise);
        }
        misfits
    }

    fn end_del(&mut self, begun: &Begun, end: &End) {
        let Some(known) = self.attachments.get_mut(&begun.key) else { return };
        known.dels = known.dels.saturating_sub(1);
        let alone = !begun.overlaps && known.adds_begun == begun.adds;
        known.state = if alone && matches!(end, End::Success(_)) { State::Nothing } else { State::Unknown };
    }

    /// What was promised, as long as it holds.
    pub(crate) fn promised(&self, node: usize, sandbox: &str) -> impl Iterator<Item = (&str, &Promise)> {
        let from = (node, sandbox.to_owned(), String::new());
        let these =
            self.attachments.range(from..).take_while(move |(key, _)| key.0 == node && key.1 == sandbox);
        these.filter_map(|(key, known)| match &known.state {
            State::Up(promise) => Some((key.2.as_str(), promise)),
            _ => None,
        })
    }

    /// The promise holds no more: the address, and the port, are anybody's.
    fn release(&mut self, key: &Key) {
        let Some(known) = self.attachments.get_mut(key) else { return };
        let State::Up(promise) = &known.state else { return };
        let promise = promise.clone();
        known.state = State::Unknown;
        known.let_go = true;
        self.unlist(key, &promise.addresses);
        let port = (key.0, promise.port);
        if self.ports.get(&port) == Some(key) {
            self.ports.remove(&port);
        }
    }

    fn unlist(&mut self, key: &Key, addresses: &[String]) {
        for address in addresses {
            if self.addresses.get(address) == Some(key) {
                self.addresses.remove(address);
            }
        }
    }

    fn keys_of(&self, node: usize) -> Vec<Key> {
        let from = (node, String::new(), String::new());
        self.attachments.range(from..).map(|(key, _)| key).take_while(|key| key.0 == node).cloned().collect()
    }

    fn release_unlisted(&mut self, node: usize, valid: &[(String, String)]) {
        for key in self.keys_of(node) {
            if !valid.iter().any(|(sandbox, ifname)| (sandbox, ifname) == (&key.1, &key.2)) {
                self.release(&key);
            }
        }
    }

    /// Nobody will ask for this sandbox again, or it went without being asked for: nothing of it is promised.
    pub(crate) fn drop_sandbox(&mut self, node: usize, sandbox: &str) {
        let from = (node, sandbox.to_owned(), String::new());
        let these = self.attachments.range(from..).map(|(key, _)| key);
        let keys: Vec<Key> = these.take_while(|key| key.0 == node && key.1 == sandbox).cloned().collect();
        for key in keys {
            self.release(&key);
        }
    }

    /// A switch has lost its rows: its controller takes the addresses back, and may give them to others.
    pub(crate) fn switch_lost(&mut self, node: usize) {
        *self.losses.entry(node).or_default() += 1;
        for key in self.keys_of(node) {
            if let Some(Attachment { state: State::Up(promise), .. }) = self.attachments.get(&key) {
                let addresses = promise.addresses.clone();
                self.unlist(&key, &addresses);
            }
        }
    }

    /// What is not there, and nobody works on, is not remembered: a long run does not grow.
    fn forget_if_nothing(&mut self, key: &Key) {
        let idle = |known: &Attachment| known.state == State::Nothing && known.adds + known.dels == 0;
        if self.attachments.get(key).is_some_and(idle) {
            self.attachments.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(command: &str, sandbox: &str) -> Asked {
        Asked {
            command: command.to_owned(),
            sandbox: sandbox.to_owned(),
            ifname: "eth0".to_owned(),
            ..Asked::default()
        }
    }

    fn success(port: &str, address: &str) -> End {
        End::Success(Promise { port: port.to_owned(), addresses: vec![address.to_owned()] })
    }

    fn call(history: &mut History, command: &str, sandbox: &str, end: End) -> (Vec<Misfit>, bool) {
        let asked = asked(command, sandbox);
        let begun = history.begin(0, &asked, true);
        history.end(&begun, &asked, end, true)
    }

    const DONE: fn() -> End = || End::Success(Promise::default());

    #[test]
    fn a_life_of_a_pod_fits_and_is_forgotten() {
        let mut history = History::default();
        assert_eq!(call(&mut history, "ADD", "a", success("p", "1")), (vec![], true));
        assert_eq!(history.promised(0, "a").count(), 1);
        assert_eq!(call(&mut history, "CHECK", "a", DONE()), (vec![], true));
        assert_eq!(call(&mut history, "DEL", "a", DONE()), (vec![], true));
        assert_eq!(call(&mut history, "DEL", "a", DONE()), (vec![], true));
        assert!(history.attachments.is_empty() && history.ports.is_empty() && history.addresses.is_empty());
    }

    #[test]
    fn an_add_of_what_is_up_has_to_fail_and_changes_nothing() {
        let mut history = History::default();
        call(&mut history, "ADD", "a", success("p", "1"));
        assert_eq!(call(&mut history, "ADD", "a", End::Failure).0, []);
        assert_eq!(history.promised(0, "a").count(), 1);
        assert_eq!(call(&mut history, "ADD", "a", success("p", "1")).0.len(), 1);
        // Two at once are no better.
        let (mut history, asked) = (History::default(), asked("ADD", "a"));
        let (one, two) = (history.begin(0, &asked, true), history.begin(0, &asked, true));
        assert_eq!(history.end(&one, &asked, success("p", "1"), true), (vec![], false));
        assert_eq!(history.end(&two, &asked, success("p", "1"), true).0.len(), 1);
    }

    #[test]
    fn a_port_or_an_address_is_promised_to_one_until_its_del_begins() {
        let mut history = History::default();
        call(&mut history, "ADD", "a", success("p", "1"));
        assert!(matches!(call(&mut history, "ADD", "b", success("q", "1")).0[..], [Misfit::Address(_)]));
        assert!(matches!(call(&mut history, "ADD", "c", success("p", "2")).0[..], [Misfit::Answer(_)]));
        let mut history = History::default();
        call(&mut history, "ADD", "a", success("p", "1"));
        let del = asked("DEL", "a");
        let begun = history.begin(0, &del, true);
        assert_eq!(call(&mut history, "ADD", "b", success("q", "1")).0, []);
        history.end(&begun, &del, DONE(), true);
        assert_eq!(history.promised(0, "b").count(), 1);
    }

    #[test]
    fn calls_that_overlap_may_have_come_in_either_order() {
        let mut history = History::default();
        let (add, del) = (asked("ADD", "a"), asked("DEL", "a"));
        let adding = history.begin(0, &add, true);
        let deleting = history.begin(0, &del, true);
        assert_eq!(history.end(&adding, &add, success("p", "1"), true).0, []);
        assert_eq!(history.end(&deleting, &del, DONE(), true), (vec![], false));
        assert_eq!(history.promised(0, "a").count(), 0);
        // Whatever is there now, the next ADD may find it or not.
        assert_eq!(call(&mut history, "ADD", "a", success("p", "1")).0, []);
    }

    #[test]
    fn a_killed_call_leaves_it_open_what_is_there() {
        let mut history = History::default();
        call(&mut history, "ADD", "a", End::Killed);
        assert_eq!(call(&mut history, "CHECK", "a", DONE()).0, []);
        assert_eq!(call(&mut history, "DEL", "a", DONE()).0, []);
        assert_eq!(call(&mut history, "CHECK", "a", DONE()).0.len(), 1);
    }

    #[test]
    fn a_gc_takes_what_it_does_not_list_and_a_lost_switch_only_the_addresses() {
        let mut history = History::default();
        for (sandbox, address) in [("a", "1"), ("b", "2")] {
            call(&mut history, "ADD", sandbox, success(sandbox, address));
        }
        let valid = vec![("a".to_owned(), "eth0".to_owned())];
        history.begin(0, &Asked { command: "GC".to_owned(), valid, ..Asked::default() }, true);
        assert_eq!((history.promised(0, "a").count(), history.promised(0, "b").count()), (1, 0));
        history.switch_lost(0);
        assert_eq!(history.promised(0, "a").count(), 1);
        assert_eq!(call(&mut history, "ADD", "c", success("c", "1")).0, []);
    }
}
