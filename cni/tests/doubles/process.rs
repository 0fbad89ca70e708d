//! One process of the plugin: every operation that it asks of a seam is counted, and one of them can go wrong or be the
//! process's last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// It has no effect and fails.
    Refused,
    /// It takes effect, and its answer is lost.
    AnswerLost,
    /// It and all later ones of the same seam are refused.
    Outage,
    /// The process is killed before it takes effect.
    KilledBefore,
    /// The process is killed when it has taken effect.
    KilledAfter,
}

/// Why an operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Failed,
    Dead,
}

#[derive(Debug, Default)]
struct State {
    operations: Vec<String>,
    target: Option<(usize, Break)>,
    dead: bool,
    outage: Option<String>,
}

/// A process, alive until an operation kills it.
#[derive(Clone, Debug, Default)]
pub struct Process {
    state: Arc<Mutex<State>>,
    died: Arc<Notify>,
}

fn seam(operation: &str) -> &str {
    operation.split(' ').next().unwrap_or(operation)
}

impl Process {
    /// A process in which nothing goes wrong.
    pub fn sound() -> Self {
        Self::default()
    }

    /// A process whose operation number `index`, from 0, goes wrong.
    pub fn broken(index: usize, how: Break) -> Self {
        let process = Self::default();
        process.state().target = Some((index, how));
        process
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked of the seams so far.
    pub fn operations(&self) -> Vec<String> {
        self.state().operations.clone()
    }

    /// Whether it has been killed.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Waits until it has been killed.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    /// An operation, `seam what`, and its effect.
    pub fn operate<T>(&self, operation: &str, effect: impl FnOnce() -> T) -> Result<T, Gone> {
        let how = {
            let mut state = self.state();
            if state.dead {
                return Err(Gone::Dead);
            }
            let index = state.operations.len();
            state.operations.push(operation.to_owned());
            if state.outage.as_deref() == Some(seam(operation)) {
                return Err(Gone::Failed);
            }
            let how = state.target.filter(|(target, _)| *target == index).map(|(_, how)| how);
            if how == Some(Break::Outage) {
                state.outage = Some(seam(operation).to_owned());
            }
            how
        };
        match how {
            None => Ok(effect()),
            Some(Break::Refused | Break::Outage) => Err(Gone::Failed),
            Some(Break::AnswerLost) => {
                effect();
                Err(Gone::Failed)
            }
            Some(Break::KilledBefore) => self.die(),
            Some(Break::KilledAfter) => {
                effect();
                self.die()
            }
        }
    }

    fn die<T>(&self) -> Result<T, Gone> {
        self.state().dead = true;
        self.died.notify_one();
        Err(Gone::Dead)
    }

    /// The same for an operation that a dead process waits for for ever.
    pub async fn operate_or_hang<T>(&self, operation: &str, effect: impl FnOnce() -> T) -> Option<T> {
        match self.operate(operation, effect) {
            Ok(done) => Some(done),
            Err(Gone::Failed) => None,
            Err(Gone::Dead) => std::future::pending().await,
        }
    }
}
