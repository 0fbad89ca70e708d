//! What the cluster does. A kind of load is a file and a line in [`KINDS`].

mod churn;
mod deployment;
mod drain;
mod pod;
pub mod pods;

use crate::error::Error;
use crate::scenario::Reader;
use pods::Pods;

/// A load of a scenario.
#[derive(Clone, Debug)]
pub enum Load {
    /// Single pods.
    Pod(pod::PodLoad),
    /// A deployment with a rolling update.
    Deployment(deployment::Deployment),
    /// Pods that come and go.
    Churn(churn::Churn),
    /// A node that is drained.
    Drain(drain::Drain),
}

#[derive(Clone, Copy)]
enum Kind {
    Pod,
    Deployment,
    Churn,
    Drain,
}

const KINDS: [(&str, Kind); 4] =
    [("pod", Kind::Pod), ("deployment", Kind::Deployment), ("churn", Kind::Churn), ("drain", Kind::Drain)];

impl Load {
    /// Reads a `[[load]]`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(reader: Reader<'_>) -> Result<Self, Error> {
        reader.whole(|reader| {
            Ok(match reader.word("kind", None, &KINDS)? {
                Kind::Pod => Self::Pod(pod::PodLoad::read(reader)?),
                Kind::Deployment => Self::Deployment(deployment::Deployment::read(reader)?),
                Kind::Churn => Self::Churn(churn::Churn::read(reader)?),
                Kind::Drain => Self::Drain(drain::Drain::read(reader)?),
            })
        })
    }

    /// Carries it out; ends when its last pod is gone.
    pub async fn run(self, pods: Pods) {
        match self {
            Self::Pod(load) => load.run(pods).await,
            Self::Deployment(load) => load.run(pods).await,
            Self::Churn(load) => load.run(pods).await,
            Self::Drain(load) => load.run(pods).await,
        }
    }
}
