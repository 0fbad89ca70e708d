//! Named faults of the emulators. What there is stands in [`ALL`], one definition each; a component asks its [`Faults`] at
//! the point where a fault would strike. Nothing happens, and nothing is drawn, unless somebody turned a fault on.

mod admin;
mod definition;
pub mod http;
mod picked;
mod setting;
pub mod stream;
mod switch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::entropy::Entropy;
pub use admin::{Ask, Told, admin, ask as ask_admin};
pub use definition::{ALL, Definition, Effect, Parameter, Takes, find};
pub use picked::Picked;
pub use setting::{CERTAIN, Refused, Setting, Value, Values, duration};
pub use switch::{Order, Refusal, SwitchFaults};

/// How many faults can be on at once: a mistake of a script must not slow every request down.
const MAX_ACTIVE: usize = 256;

/// Who is about to be struck, as far as is known: a real socket tells little, a simulation everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The node that the request comes from or concerns.
    pub node: Option<Arc<str>>,
    /// What is being done, for instance a CNI command. Hits are counted by it; empty where nobody said.
    pub operation: Arc<str>,
}

impl Caller {
    /// A caller of which both is known.
    pub fn new(node: &str, operation: &str) -> Self {
        Self { node: Some(node.into()), operation: operation.into() }
    }
}

/// The faults of one site. Clones are handles of the same one.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

struct Shared {
    /// How many are on, so that a component that asks when none is pays for one load.
    on: AtomicUsize,
    state: Mutex<State>,
    /// Whose a bearer token is: a request says no more of its node.
    tokens: Mutex<BTreeMap<String, Arc<str>>>,
    entropy: Entropy,
}

#[derive(Default)]
struct State {
    next: u64,
    active: Vec<Active>,
    hits: BTreeMap<(&'static str, Arc<str>), u64>,
}

/// A fault that is on.
struct Active {
    id: u64,
    definition: &'static Definition,
    setting: Setting,
    left: Option<u64>,
    until: Option<Instant>,
    hits: u64,
}

impl Active {
    fn is_over(&self, now: Instant) -> bool {
        self.left == Some(0) || self.until.is_some_and(|until| now >= until)
    }

    fn shown(&self) -> Shown {
        Shown { id: self.id, name: self.definition.name, setting: self.setting.clone(), hits: self.hits }
    }

    fn concerns(&self, caller: &Caller) -> bool {
        let here = |nodes: &[String]| {
            caller.node.as_deref().is_some_and(|node| nodes.iter().any(|known| known == node))
        };
        self.setting.nodes.as_deref().is_none_or(here)
    }
}

/// A fault that is on, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What turns it off.
    pub id: u64,
    /// Its name.
    pub name: &'static str,
    /// How it is set.
    pub setting: Setting,
    /// How often it struck.
    pub hits: u64,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Faults({} on)", self.0.on.load(Ordering::Relaxed))
    }
}

impl Faults {
    /// None is on; chances will be drawn from `entropy`.
    pub fn new(entropy: Entropy) -> Self {
        let (on, state, tokens) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { on, state, tokens, entropy }))
    }

    /// Tells that who comes with this bearer token is `node`.
    pub fn introduce(&self, token: &str, node: &str) {
        self.tokens().insert(token.to_owned(), node.into());
    }

    /// Whose a bearer token is.
    fn node_of(&self, token: &str) -> Option<Arc<str>> {
        self.tokens().get(token).cloned()
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<String, Arc<str>>> {
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no fault at all is on.
    pub fn quiet(&self) -> bool {
        self.0.on.load(Ordering::Relaxed) == 0
    }

    /// Whether no fault is on but those of these names.
    pub fn quiet_but(&self, names: &[&str]) -> bool {
        let now = Instant::now();
        let strange = |active: &Active| !active.is_over(now) && !names.contains(&active.definition.name);
        self.quiet() || !self.state().active.iter().any(strange)
    }

    /// Turns a fault on and returns what turns this one off again.
    ///
    /// # Errors
    /// [`Refused`]: there is no such fault, it takes no such value, or too many are on.
    pub fn on(&self, name: &str, setting: Setting) -> Result<u64, Refused> {
        self.start(find(name).ok_or_else(|| Refused::unknown_fault(name))?, setting)
    }

    /// As [`Faults::on`], for a fault of somebody else's, who asks for it himself.
    ///
    /// # Errors
    /// As [`Faults::on`].
    pub fn start(&self, definition: &'static Definition, setting: Setting) -> Result<u64, Refused> {
        let setting = setting.checked(definition)?;
        let now = Instant::now();
        let mut state = self.state();
        self.sweep(&mut state, now);
        if state.active.len() >= MAX_ACTIVE {
            return Err(Refused(format!("{MAX_ACTIVE} faults are on already")));
        }
        state.next += 1;
        let id = state.next;
        let (left, until) = (setting.times, setting.lasts.map(|lasts| now + lasts));
        state.active.push(Active { id, definition, setting, left, until, hits: 0 });
        self.0.on.store(state.active.len(), Ordering::Relaxed);
        Ok(id)
    }

    /// Turns one off; how often it struck. `None`: it was not on any more.
    pub fn off(&self, id: u64) -> Option<u64> {
        let mut state = self.state();
        let position = state.active.iter().position(|active| active.id == id)?;
        let active = state.active.remove(position);
        self.0.on.store(state.active.len(), Ordering::Relaxed);
        Some(active.hits)
    }

    /// How often one struck that is still on or has run out; `None` once it was turned off.
    pub fn struck(&self, id: u64) -> Option<u64> {
        self.state().active.iter().find(|active| active.id == id).map(|active| active.hits)
    }

    /// Those that are on, in the order in which they were turned on.
    pub fn list(&self) -> Vec<Shown> {
        let now = Instant::now();
        self.state().active.iter().filter(|active| !active.is_over(now)).map(Active::shown).collect()
    }

    /// Those that are on or have run out, but were not turned off.
    fn every(&self) -> Vec<Shown> {
        self.state().active.iter().map(Active::shown).collect()
    }

    /// How often each fault struck since the beginning, by the operation that it struck.
    pub fn hits(&self) -> BTreeMap<(&'static str, Arc<str>), u64> {
        self.state().hits.clone()
    }

    /// Whether a fault of this name is on for `caller`. Counts nothing and draws nothing.
    pub fn is_on(&self, name: &str, caller: &Caller) -> bool {
        if self.quiet() {
            return false;
        }
        let now = Instant::now();
        let named = |active: &&Active| active.definition.name == name && !active.is_over(now);
        self.state().active.iter().filter(named).any(|active| active.concerns(caller))
    }

    /// Asks whether `name` strikes `caller` now, and with which values.
    pub fn ask(&self, name: &str, caller: &Caller) -> Option<Values> {
        self.ask_where(name, caller, |_| true)
    }

    /// As [`Faults::ask`], for those whose values `concern` what is about to happen: others neither draw nor count.
    pub fn ask_where(
        &self,
        name: &str,
        caller: &Caller,
        concern: impl Fn(&Values) -> bool,
    ) -> Option<Values> {
        let (id, values) = self.draw(name, caller, concern)?;
        self.count(id, caller);
        Some(values)
    }

    /// As [`Faults::ask_where`], but counts nothing: for what may still not come about. What did is told by
    /// [`Faults::count`], with the identifier that this returns.
    pub fn draw(
        &self,
        name: &str,
        caller: &Caller,
        concern: impl Fn(&Values) -> bool,
    ) -> Option<(u64, Values)> {
        if self.quiet() {
            return None;
        }
        let now = Instant::now();
        let state = self.state();
        let on = state.active.iter().filter(|active| active.definition.name == name && !active.is_over(now));
        let mut concerned = on.filter(|active| active.concerns(caller) && concern(&active.setting.values));
        let falls = |setting: &Setting| self.falls(setting.chance) && setting.picked.comes_about();
        let active = concerned.find(|active| falls(&active.setting))?;
        Some((active.id, active.setting.values.drawn(&self.0.entropy)))
    }

    /// Counts that a fault struck.
    pub fn count(&self, id: u64, caller: &Caller) {
        let mut state = self.state();
        let State { active, hits, .. } = &mut *state;
        let Some(active) = active.iter_mut().find(|active| active.id == id) else { return };
        active.hits += 1;
        active.left = active.left.map(|left| left.saturating_sub(1));
        *hits.entry((active.definition.name, Arc::clone(&caller.operation))).or_default() += 1;
    }

    /// Whether a chance in [`CERTAIN`] comes about. What is certain draws nothing.
    fn falls(&self, chance: u64) -> bool {
        chance >= CERTAIN || self.0.entropy.next() % CERTAIN < chance
    }

    /// Forgets those that have run out, so that they do not fill the list.
    fn sweep(&self, state: &mut State, now: Instant) {
        if state.active.len() >= MAX_ACTIVE {
            let undone = |active: &Active| active.definition.effect == Effect::Asked && active.is_over(now);
            state.active.retain(|active| !undone(active));
        }
        self.0.on.store(state.active.len(), Ordering::Relaxed);
    }
}

/// Waits as long as a fault says; no time at all is no wait.
pub(crate) async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults() -> Faults {
        Faults::new(Entropy::seeded(1))
    }

    fn struck(faults: &Faults, times: usize) -> usize {
        (0..times).filter(|_| faults.ask("vrs.slow", &Caller::new("node-1", "ADD")).is_some()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_strikes_and_nothing_is_drawn_until_a_fault_is_on() {
        let (faults, twin) = (faults(), Entropy::seeded(1));
        assert_eq!(struck(&faults, 10), 0);
        faults.on("vrs.disconnect", Setting::default()).unwrap();
        assert_eq!(struck(&faults, 10), 0);
        assert_eq!(faults.0.entropy.next(), twin.next(), "a draw was made");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_strikes_so_many_times_and_for_so_long() {
        let faults = faults();
        let id = faults.on("vrs.slow", Setting { times: Some(3), ..Setting::default() }).unwrap();
        assert_eq!(struck(&faults, 10), 3);
        assert_eq!((faults.struck(id), faults.off(id), faults.off(id)), (Some(3), Some(3), None));
        let lasts = Some(Duration::from_secs(5));
        faults.on("vrs.slow", Setting { lasts, ..Setting::default() }).unwrap();
        assert_eq!((struck(&faults, 2), faults.list().len()), (2, 1));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((struck(&faults, 2), faults.list().len()), (0, 0));
        assert_eq!(faults.hits(), BTreeMap::from([(("vrs.slow", "ADD".into()), 5)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_chance_is_one_and_follows_from_the_seed() {
        let run = || {
            let faults = faults();
            faults.on("vrs.slow", Setting { chance: CERTAIN / 4, ..Setting::default() }).unwrap();
            struck(&faults, 1000)
        };
        assert_eq!(run(), run());
        assert!((200..300).contains(&run()), "{}", run());
    }

    #[tokio::test(start_paused = true)]
    async fn strikes_that_are_not_picked_are_drawn_and_do_not_come_about() {
        let by_chance = || Setting { chance: CERTAIN / 2, ..Setting::default() };
        let strikes = |setting: Setting| {
            let faults = faults();
            faults.on("vrs.slow", setting).unwrap();
            (0..100).filter(|_| struck(&faults, 1) == 1).collect::<Vec<_>>()
        };
        let all = strikes(by_chance());
        let picked = Picked::only([2, 5].into());
        let two = strikes(Setting { picked: picked.clone(), ..by_chance() });
        assert_eq!(two, [all[1], all[4]]);
        assert_eq!(picked.drawn(), all.len() as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_of_one_node_leaves_the_others_and_the_unknown_alone() {
        let faults = faults();
        let nodes = Some(vec!["node-2".to_owned()]);
        faults.on("vrs.slow", Setting { nodes, ..Setting::default() }).unwrap();
        assert_eq!(struck(&faults, 1), 0);
        assert!(faults.ask("vrs.slow", &Caller::default()).is_none());
        assert!(faults.ask("vrs.slow", &Caller::new("node-2", "")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_script_cannot_turn_on_faults_without_end() {
        let faults = faults();
        for _ in 0..MAX_ACTIVE {
            faults.on("vrs.slow", Setting { times: Some(1), ..Setting::default() }).unwrap();
        }
        assert!(faults.on("vrs.slow", Setting::default()).is_err());
        assert_eq!(struck(&faults, MAX_ACTIVE + 1), MAX_ACTIVE);
        faults.on("vrs.slow", Setting::default()).unwrap();
    }
}
