//! Who says which containers live: what the sources have in common. A source answers whole or not at all; what it cannot tell
//! is silence with a reason, never an empty answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::news::News;
use crate::orchestrator::Pod;

/// What a witness says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<T> {
    /// It has told this, whole and fresh.
    Told(T),
    /// It has not, for this reason.
    Silent(String),
}

impl<T> Word<T> {
    /// What was told.
    pub fn told(&self) -> Option<&T> {
        match self {
            Self::Told(told) => Some(told),
            Self::Silent(_) => None,
        }
    }

    /// Why nothing was told.
    pub fn silence(&self) -> Option<&str> {
        match self {
            Self::Told(_) => None,
            Self::Silent(reason) => Some(reason),
        }
    }
}

/// How far a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// `Pending`
    Pending,
    /// `Running`, and whatever a later version may call it: it is there and has not ended.
    Running,
    /// `Succeeded` or `Failed`: for good.
    Finished,
}

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodInfo {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What the runtime knows a static pod by: the hash of its file.
    pub aliases: Vec<String>,
    /// How far it is.
    pub life: Life,
    /// Whether it uses the host's network.
    pub host_network: bool,
}

impl PodInfo {
    /// Whether the runtime calls it so.
    pub fn has_uid(&self, uid: &str) -> bool {
        self.uid == uid || self.aliases.iter().any(|alias| alias == uid)
    }

    /// Whether it has a port, or will get one.
    pub fn wants_port(&self) -> bool {
        !self.host_network && self.life != Life::Finished
    }
}

/// The pods of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    by_uid: BTreeMap<String, PodInfo>,
}

impl FromIterator<PodInfo> for Pods {
    fn from_iter<I: IntoIterator<Item = PodInfo>>(pods: I) -> Self {
        Self { by_uid: pods.into_iter().map(|pod| (pod.uid.clone(), pod)).collect() }
    }
}

impl Pods {
    /// Adds a pod, or puts it in the place of what was known of it.
    pub fn insert(&mut self, pod: PodInfo) {
        self.by_uid.insert(pod.uid.clone(), pod);
    }

    /// Takes a pod out.
    pub fn remove(&mut self, uid: &str) {
        self.by_uid.remove(uid);
    }

    /// All of them, by UID.
    pub fn iter(&self) -> impl Iterator<Item = &PodInfo> {
        self.by_uid.values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// The pod that the runtime calls so.
    pub fn with_uid(&self, uid: &str) -> Option<&PodInfo> {
        self.by_uid.get(uid).or_else(|| self.iter().find(|pod| pod.has_uid(uid)))
    }
}

/// The sandboxes that a runtime knows, by id; whether each is ready.
pub type Sandboxes = BTreeMap<String, bool>;

/// What the sources say at one moment.
#[derive(Clone, Debug)]
pub struct Testimony {
    /// The pods of this node.
    pub pods: Word<Pods>,
    /// The sandboxes of this node; absent where there is no runtime to ask.
    pub sandboxes: Option<Word<Sandboxes>>,
}

impl Testimony {
    /// The sandboxes, where the runtime has told them.
    pub fn sandboxes(&self) -> Option<&Sandboxes> {
        self.sandboxes.as_ref()?.told()
    }

    /// Why a runtime that was asked has not told its sandboxes.
    pub fn runtimes_silence(&self) -> Option<&str> {
        self.sandboxes.as_ref()?.silence()
    }
}

/// Asks for what runs on this node.
#[async_trait]
pub trait Containers: Send + Sync {
    /// What is known now. Never waits long.
    async fn observe(&self) -> Testimony;

    /// Asks for one pod by its name, at its origin and not from memory. `Told(None)`: there is no such pod.
    async fn look_again(&self, pod: &Pod) -> Word<Option<PodInfo>>;

    /// Asks the runtime for its sandboxes, if there is one.
    async fn sandboxes(&self) -> Option<Word<Sandboxes>> {
        None
    }

    /// Tells whoever looks at a pod. `now` is the time of day.
    async fn tell(&self, news: &News, now: Duration) -> Reception;
}

/// What became of something that was to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It can be seen.
    Shown,
    /// Not now; the next one may be.
    Failed,
    /// The right to tell anything is missing.
    Forbidden,
    /// There is nobody to tell.
    Nobody,
}

/// A container runtime that can be asked.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Its sandboxes, now.
    async fn sandboxes(&self) -> Word<Sandboxes>;
}

/// Who knows the pods, and a runtime beside.
pub struct WithRuntime {
    pods: Arc<dyn Containers>,
    runtime: Arc<dyn Runtime>,
}

impl WithRuntime {
    /// Asks `pods` for pods, and `runtime` for sandboxes.
    pub fn new(pods: Arc<dyn Containers>, runtime: Arc<dyn Runtime>) -> Self {
        Self { pods, runtime }
    }
}

#[async_trait]
impl Containers for WithRuntime {
    async fn observe(&self) -> Testimony {
        let Testimony { pods, .. } = self.pods.observe().await;
        Testimony { pods, sandboxes: Some(self.runtime.sandboxes().await) }
    }

    async fn look_again(&self, pod: &Pod) -> Word<Option<PodInfo>> {
        self.pods.look_again(pod).await
    }

    async fn sandboxes(&self) -> Option<Word<Sandboxes>> {
        Some(self.runtime.sandboxes().await)
    }

    async fn tell(&self, news: &News, now: Duration) -> Reception {
        self.pods.tell(news, now).await
    }
}

/// Nobody who could be asked: only what the node itself knows counts.
#[derive(Clone, Debug)]
pub struct Unasked(String);

impl Unasked {
    /// Nobody, for this reason.
    pub fn new(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

#[async_trait]
impl Containers for Unasked {
    async fn observe(&self) -> Testimony {
        Testimony { pods: Word::Silent(self.0.clone()), sandboxes: None }
    }

    async fn look_again(&self, _pod: &Pod) -> Word<Option<PodInfo>> {
        Word::Silent(self.0.clone())
    }

    async fn tell(&self, _news: &News, _now: Duration) -> Reception {
        Reception::Nobody
    }
}
