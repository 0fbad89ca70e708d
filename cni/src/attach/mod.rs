//! The verbs, a file each. Whatever fails or crashes, at any step, DEL brings the node back to nothing; every wait has a
//! deadline; a verb never cleans up in a destructor, which a kill would skip.

mod add;
mod check;
mod debts;
mod del;
mod gc;
mod plan;
#[cfg(feature = "audit")]
pub(crate) mod release;
mod status;
mod teardown;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use add::add;
pub use check::check;
pub use del::del;
pub use gc::gc;
pub use status::status;

use crate::call::Call;
use crate::error::Error;
use crate::host::{LinkError, LockGuard};
use crate::journal::Journal;
use crate::orchestrator::Identity;

/// The pause between two tries to take a lock. Whoever holds it is about to finish.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How a call waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    /// Until whoever is before it has ended by itself.
    Queueing,
    /// A DEL: what an ADD is making will have to go anyway.
    Overtaking,
}

/// Waits for the lock of the sandbox until `deadline`. `Overtaking` asks an ADD of the same attachment that holds it to
/// give up.
async fn lock(
    journal: &Journal<'_>,
    identity: &Identity,
    manners: Manners,
    deadline: Instant,
) -> Result<Box<dyn LockGuard>, Error> {
    loop {
        if let Some(guard) = journal.try_lock(&identity.entity_uuid)? {
            // Whoever has the lock begins anew: a wish that was put down before has come true, or its DEL is no more.
            journal.forget_stop(&identity.port_name);
            return Ok(guard);
        }
        if manners == Manners::Overtaking {
            // Each time: the ADD may be one that has just begun. Without the mark it is waited for all the same.
            let _ = journal.ask_to_stop(&identity.port_name);
        }
        if Instant::now() + LOCK_PAUSE >= deadline {
            return Err(Error::TryAgain {
                what: format!("another call for sandbox {} is in progress", identity.container_id),
                details: "its lock is held".to_owned(),
                hint: None,
            });
        }
        sleep(LOCK_PAUSE).await;
    }
}

/// The identity of a verb that has one.
fn identity<'a>(call: &Call<'a>) -> Result<&'a Identity, Error> {
    call.identity.ok_or_else(|| Error::Environment(vec!["CNI_CONTAINERID is missing".to_owned()]))
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::NoSuchNetns(_) | LinkError::NotANetns(_) | LinkError::OwnNetns(_) => {
                Self::Environment(vec![format!("CNI_NETNS: {error}")])
            }
            LinkError::Exists(ifname) => Self::Exists { ifname },
            LinkError::Kernel { operation, source } => Self::Io { operation, details: source.to_string() },
            LinkError::RouteTaken { .. } => Self::Config {
                what: "isDefaultGateway".to_owned(),
                details: error.to_string(),
                hint: Some("only one interface of a pod can have its default route".to_owned()),
            },
            LinkError::NoSuchLink(_) | LinkError::NoIpv6(_) | LinkError::Unsupported => {
                Self::Io { operation: "configuring the link".to_owned(), details: error.to_string() }
            }
        }
    }
}
