//! Who is told of which changes: each watcher has its own, so that a change of one node's pod wakes those who watch that node
//! and not those of five thousand others. Bounded; knows neither selectors nor texts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use super::kept::Kept;
use super::store::{Change, HISTORY, Resource};

/// What somebody watches: a resource, of one node where one is asked for.
pub(super) type Topic = (Resource, Option<String>);

/// What waits for one watcher.
#[derive(Debug, Default)]
struct Feed {
    changes: VecDeque<Arc<Change>>,
    /// There was more than it can hold.
    overflowed: bool,
    wake: Arc<Notify>,
}

/// The feeds of all who watch.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    topics: BTreeMap<Topic, BTreeMap<u64, Feed>>,
    next: u64,
}

/// A watcher fell behind further than its feed holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflowed;

impl Feeds {
    /// A feed of what happens from now on: its number, and what says that there is something in it.
    pub(super) fn open(&mut self, topic: Topic) -> (u64, Arc<Notify>) {
        self.next += 1;
        let feed = Feed::default();
        let wake = Arc::clone(&feed.wake);
        self.topics.entry(topic).or_default().insert(self.next, feed);
        (self.next, wake)
    }

    /// Nobody reads it any more.
    pub(super) fn close(&mut self, topic: &Topic, number: u64) {
        let Some(feeds) = self.topics.get_mut(topic) else { return };
        feeds.remove(&number);
        if feeds.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Takes out what has come since.
    ///
    /// # Errors
    /// Something of it is lost.
    pub(super) fn take(&mut self, topic: &Topic, number: u64) -> Result<VecDeque<Arc<Change>>, Overflowed> {
        let feed = self.topics.get_mut(topic).and_then(|feeds| feeds.get_mut(&number));
        match feed {
            Some(feed) if !feed.overflowed => Ok(std::mem::take(&mut feed.changes)),
            _ => Err(Overflowed),
        }
    }

    /// Tells a change to whom it may concern, in the order in which they began to watch.
    pub(super) fn tell(&mut self, change: &Arc<Change>) {
        let resource = change.key.0;
        self.tell_topic(&(resource, None), change);
        if resource != Resource::Pods {
            return;
        }
        let on = |object: &Option<Kept>| object.as_ref().and_then(Kept::node).map(str::to_owned);
        let (before, after) = (on(&change.old), on(&change.new));
        let moved = before != after;
        for node in [after, before.filter(|_| moved)].into_iter().flatten() {
            self.tell_topic(&(resource, Some(node)), change);
        }
    }

    fn tell_topic(&mut self, topic: &Topic, change: &Arc<Change>) {
        for feed in self.topics.get_mut(topic).into_iter().flat_map(BTreeMap::values_mut) {
            if feed.changes.len() >= HISTORY {
                feed.overflowed = true;
                feed.changes = VecDeque::new();
            }
            if !feed.overflowed {
                feed.changes.push_back(Arc::clone(change));
            }
            feed.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(version: u64, old: Option<&str>, new: Option<&str>) -> Arc<Change> {
        let pod = |node: &str| Kept::new(&json!({"spec": {"nodeName": node}}), version);
        let key = (Resource::Pods, "default".to_owned(), "web".to_owned());
        Arc::new(Change { version, key, old: old.map(pod), new: new.map(pod) })
    }

    fn of(node: Option<&str>) -> Topic {
        (Resource::Pods, node.map(str::to_owned))
    }

    #[test]
    fn a_pod_is_told_to_those_who_watch_its_node_before_or_after_and_to_those_who_watch_all() {
        let mut feeds = Feeds::default();
        let topics = [of(None), of(Some("a")), of(Some("b")), of(Some("c")), (Resource::Nodes, None)];
        let numbers = topics.each_ref().map(|topic| feeds.open(topic.clone()).0);
        feeds.tell(&change(1, None, Some("a")));
        feeds.tell(&change(2, Some("a"), Some("b")));
        feeds.tell(&change(3, Some("b"), None));
        let told = |(topic, number): (&Topic, u64)| -> Vec<u64> {
            feeds.take(topic, number).unwrap().iter().map(|change| change.version).collect()
        };
        let told: Vec<_> = topics.iter().zip(numbers).map(told).collect();
        assert_eq!(told, [vec![1, 2, 3], vec![1, 2], vec![2, 3], vec![], vec![]]);
    }

    #[test]
    fn a_feed_is_bounded_and_says_so_and_a_closed_one_is_gone() {
        let mut feeds = Feeds::default();
        let (topic, other) = (of(Some("a")), of(None));
        let (number, _) = feeds.open(topic.clone());
        for version in 0..=HISTORY as u64 {
            feeds.tell(&change(version, None, Some("a")));
        }
        assert_eq!(feeds.take(&topic, number).map(|changes| changes.len()), Err(Overflowed));
        let (number, _) = feeds.open(other.clone());
        feeds.close(&topic, 1);
        feeds.close(&other, number);
        assert!(feeds.topics.is_empty());
    }
}
