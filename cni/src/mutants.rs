//! Bugs that the original had, at the places where this plugin would have them, for tests that show that the harness sees them.
//! Only with the feature `mutants`, which no shipped executable is built with: without it `mutant!` is nothing. Never decides
//! which bug there is: that is handed down with the seams (`Clock::mutant`), so that runs side by side have each their own, and an
//! executable has none.

/// `mutant!(host, "B1")` says whether the bug is there; `mutant!(host, "B1" => statement)` does something if it is;
/// `mutant!(host, "B1", let name = value)` lets an existing name mean something else then.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($host:expr, $($bug:literal)|+) => { matches!($host.clock.mutant(), Some($($bug)|+)) };
    ($host:expr, $($bug:literal)|+ => $then:expr) => { if mutant!($host, $($bug)|+) { $then; } };
    ($host:expr, $($bug:literal)|+, let $name:ident = $value:expr) => {
        let $name = if mutant!($host, $($bug)|+) { $value } else { $name };
    };
}

#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($host:expr, $($bug:literal)|+) => {
        false
    };
    ($host:expr, $($bug:literal)|+ => $then:expr) => {};
    ($host:expr, $($bug:literal)|+, let $name:ident = $value:expr) => {};
}

#[cfg(feature = "mutants")]
pub(crate) use of_the_original::*;

/// What takes more than a line at its place.
#[cfg(feature = "mutants")]
mod of_the_original {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use crate::call::Call;
    use crate::error::Error;
    use crate::host::Host;
    use crate::journal::Record;
    use crate::orchestrator::{Identity, notify_deleted};
    use crate::protocol::Request;
    use crate::vrs::Vrs;

    /// What every executable has that is built with the bugs, so that nobody ships one.
    pub(crate) const MARK: &str = "a bug of the original, on purpose";
    /// The pause between two tries to reach the switch.
    const PAUSE: Duration = Duration::from_secs(3);
    /// As good as no limit.
    pub(crate) const FOREVER: Duration = Duration::from_hours(24);

    /// B1: whoever wants to reach the switch tries for ever.
    pub(crate) async fn connect_for_ever(host: &Host, endpoint: &str) {
        while host.switch.connect(endpoint).await.is_err() {
            sleep(PAUSE).await;
        }
    }

    /// B8: a sandbox is whatever the arguments say, and nothing if they say nothing.
    pub(crate) fn of_infra_container(
        whose: Result<Option<Identity>, Error>,
        request: &Request,
    ) -> Result<Option<Identity>, Error> {
        let entity_uuid = request.args.get("K8S_POD_INFRA_CONTAINER_ID").cloned().unwrap_or_default();
        whose.map(|whose| whose.map(|identity| Identity { entity_uuid, ..identity }))
    }

    /// B4: whether the sandbox's entity has exactly one port; a read that fails says no.
    pub(crate) async fn has_one_port(call: &Call<'_>, identity: &Identity, deadline: Instant) -> bool {
        let asked = async {
            let vrs = Vrs::connect_once(call, deadline).await?;
            vrs.find(&identity.entity_uuid, &identity.port_name, false).await
        };
        asked.await.is_ok_and(|found| found.entity_ports.is_some_and(|ports| ports.len() == 1))
    }

    /// B5: the monitor is told before anything is taken away.
    pub(crate) async fn tell_first(call: &Call<'_>, record: &Record) -> Result<(), Error> {
        match &record.pod {
            Some(pod) => notify_deleted(call, pod).await,
            None => Ok(()),
        }
    }
}
