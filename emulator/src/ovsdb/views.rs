//! Who sees alike. Clients that ask for the same share a view, so that a change is written once for all of them. Must tell nobody
//! anything: that is for [`super::sessions`].

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::view::{LookedAt, Scope, View};

/// What a view without conditions looks at beside what it tells.
const NOTHING: &LookedAt = &LookedAt::new();

/// The views that sessions look at, each once.
#[derive(Debug, Default)]
pub(super) struct Views {
    known: BTreeMap<u64, Arc<View>>,
    watches: BTreeMap<u64, Watch>,
    numbers: u64,
}

/// A scope that monitors share. As in the real server a row counts as modified for each of them when a column changes that the
/// conditions of any of them look at, or have looked at while the scope has been shared.
#[derive(Debug)]
struct Watch {
    scope: Weak<Scope>,
    looked_at: LookedAt,
}

impl Views {
    /// The view that is equal to this one, or this one from now on.
    pub(super) fn share(&mut self, mut view: View) -> (u64, Arc<View>) {
        // What nobody looks at any more makes room.
        self.known.retain(|_, known| Arc::strong_count(known) > 1);
        self.watches.retain(|_, watch| watch.scope.strong_count() > 0);
        let mut shared = self.watches.iter().filter_map(|(watch, of)| Some((*watch, of.scope.upgrade()?)));
        let shared = shared.find(|(_, scope)| *scope == view.scope);
        if let Some((watch, scope)) = shared {
            (view.watch, view.scope) = (watch, scope);
        } else {
            self.numbers += 1;
            view.watch = self.numbers;
            let watch = Watch { scope: Arc::downgrade(&view.scope), looked_at: LookedAt::new() };
            self.watches.insert(view.watch, watch);
        }
        if let Some(watch) = self.watches.get_mut(&view.watch) {
            watch.looked_at.extend(view.looks_at());
        }
        if let Some((number, known)) = self.known.iter().find(|(_, known)| ***known == view) {
            return (*number, Arc::clone(known));
        }
        self.numbers += 1;
        let view = Arc::new(view);
        self.known.insert(self.numbers, Arc::clone(&view));
        (self.numbers, view)
    }

    /// The columns that make a row count as modified for a view beside those that it tells.
    pub(super) fn looked_at(&self, view: &View) -> &LookedAt {
        self.watches.get(&view.watch).map_or(NOTHING, |watch| &watch.looked_at)
    }
}
