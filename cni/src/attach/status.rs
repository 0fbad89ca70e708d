//! STATUS: whether ADD can be served. Looks at this node only: the API server or the monitor being away for a moment must
//! not turn every node of a cluster unready.

use crate::call::Call;
use crate::error::Error;
use crate::vrs::Vrs;

/// Asks the VRS.
///
/// # Errors
/// Code 50 where the VRS, its bridge or its controller is not there.
pub async fn status(call: &Call<'_>) -> Result<(), Error> {
    let asked = async { Vrs::connect_once(call, call.deadline).await?.check_ready().await };
    asked
        .await
        .map_err(|error| Error::NotReady { limited: false, details: format!("{error}: {}", error.details()) })
}
