//! STATUS: whether ADD can be served. Looks at this node only: the API server or the monitor being away for a moment must
//! not turn every node of a cluster unready, so of these it says what the audit has seen for a minute, and asks nobody.

use crate::call::Call;
use crate::error::Error;
use crate::peers::{Away, long_away};
use crate::vrs::{Readiness, Vrs};

/// Asks the VRS, and reads what the audit has written down.
///
/// # Errors
/// Code 50 where the VRS or its controller is not there, or the API server or the monitor has not been for a minute; code 51 where the bridge is not: then no attachment has a port.
pub async fn status(call: &Call<'_>) -> Result<(), Error> {
    let not_ready = |limited: bool, details: String| Err(Error::NotReady { limited, details });
    let asked = async { Vrs::connect_once(call, call.deadline).await?.readiness().await };
    match asked.await {
        Ok(Readiness::Ready) => {
            match long_away(&*call.host.files, &call.node.run_dir, call.host.clock.now()) {
                None => Ok(()),
                Some(Away { peer, seconds, why }) => {
                    not_ready(false, format!("{peer} cannot be reached since {seconds} s: {why}"))
                }
            }
        }
        Ok(Readiness::NoBridge) => not_ready(true, format!("the VRS has no bridge {}", call.node.bridge)),
        Ok(Readiness::Masters(count)) => not_ready(false, format!("{count} controllers are master")),
        Err(error) => not_ready(false, format!("{error}: {}", error.details())),
    }
}
