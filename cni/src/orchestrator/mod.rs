//! Who asks and for whom: Kubernetes, OpenShift or Mesos turn a request into an [`Identity`] (whose port is it)
//! and a [`Placement`] (where in the overlay does it go). Never touches the VRS or a link.

mod http_call;
mod identity;
mod kubernetes;
mod labels;
mod monitor;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::call::Call;
use crate::config::load_vsp;
use crate::error::Error;
pub(crate) use identity::FIRST_INTERFACE;
pub use identity::identity;

/// What runs the containers of this node; each has an executable of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Orchestrator {
    /// nuage-cni-k8s.
    Kubernetes,
    /// nuage-cni-openshift.
    OpenShift,
    /// nuage-cni-mesos.
    Mesos,
}

impl Orchestrator {
    /// As executables and options name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "k8s",
            Self::OpenShift => "openshift",
            Self::Mesos => "mesos",
        }
    }
}

/// A pod as the runtime named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Pod {
    /// Its namespace, a DNS label.
    pub namespace: String,
    /// Its name, a DNS subdomain.
    pub name: String,
    /// Its UID where the runtime tells it (`K8S_POD_UID`).
    pub uid: Option<String>,
}

/// Whose attachment it is: sandbox and interface, never a pod's bare name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// The VRS port and host link: `nu` and 13 hex digits of a SHA-1.
    pub port_name: String,
    /// Key of the row in `Nuage_VM_Table` (`vm_uuid`).
    pub entity_uuid: String,
    /// `vm_name`: the bare pod name, as the monitor needs it; the container id where there is no pod.
    pub entity_name: String,
    /// The pod, where there is one.
    pub pod: Option<Pod>,
}

/// Where an attachment goes in the overlay.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Placement {
    /// The enterprise (organisation) in the VSD.
    pub enterprise: String,
    /// The domain of the enterprise.
    pub domain: String,
    /// The zone of the domain.
    pub zone: String,
    /// The subnet of the zone.
    pub network: String,
    /// The VSD user in whose name the entity is.
    pub user: String,
    /// Policy groups, first one first.
    pub policy_groups: Vec<String>,
    /// A fixed address, where one is asked for.
    pub static_ip: Option<IpAddr>,
    /// A redirection target, where one is asked for.
    pub redirection_target: Option<String>,
    /// A fixed MAC address, where one is asked for.
    pub mac: Option<String>,
}

/// The servers that will be asked where the container of a call goes.
pub struct Peers(Option<Result<kubernetes::Peers, Error>>);

impl Peers {
    /// Begins to connect to them, while the caller does something else: a TLS handshake takes longer than the question. What
    /// is wrong with them is told by [`wish`]. Called within a tokio runtime.
    pub fn open(call: &Call<'_>) -> Self {
        let pod = call.identity.and_then(|identity| identity.pod.as_ref());
        let asked = call.orchestrator != Orchestrator::Mesos && pod.is_some();
        Self(asked.then(|| kubernetes::Peers::open(call)))
    }
}

/// Where the container of a call wants to go, as far as that is known before the monitor has been asked.
pub struct Wish {
    placement: Placement,
    /// Who has the last word on the subnet.
    monitor: Option<kubernetes::Assigning>,
}

impl Wish {
    /// What of it is known by now: all of it where no monitor is asked, all but the subnet and its policy groups otherwise.
    pub fn chosen(&self) -> &Placement {
        &self.placement
    }

    /// Where the container goes: as the monitor says, which counts the pod from then on.
    ///
    /// # Errors
    /// What the monitor refuses, or why it cannot be asked.
    pub async fn settle(&self, call: &Call<'_>) -> Result<Placement, Error> {
        let mut placement = self.placement.clone();
        if let Some(monitor) = &self.monitor {
            let (network, groups) = monitor.ask(call).await?;
            placement.network = network;
            if placement.policy_groups.is_empty() {
                placement.policy_groups = groups;
            }
        }
        call.log.debug(
            "placed",
            &[
                ("enterprise", &placement.enterprise),
                ("domain", &placement.domain),
                ("zone", &placement.zone),
                ("network", &placement.network),
                ("user", &placement.user),
            ],
        );
        Ok(placement)
    }
}

/// What the container of a call chose: asks the API server where the orchestrator has one. Changes nothing anywhere.
///
/// # Errors
/// What the peers or the labels make impossible, with a hint where a person can act.
pub async fn wish(call: &Call<'_>, peers: Peers) -> Result<Wish, Error> {
    if call.orchestrator == Orchestrator::Mesos {
        return Ok(Wish { placement: labels::from_mesos(&call.request.network)?, monitor: None });
    }
    let pod = call.identity.and_then(|identity| identity.pod.as_ref());
    let (mut placement, monitor) = match (pod.zip(peers.0), &call.request.network.nuage) {
        (Some((pod, peers)), _) => kubernetes::wish(call, pod, peers?).await?,
        (None, Some(nuage)) => {
            let vsp = load_vsp(&*call.host.files, call.orchestrator, call.config_dir)?;
            (labels::from_network(nuage, &vsp, &call.request.args)?, None)
        }
        (None, None) => {
            return Err(Error::Environment(vec![
                "CNI_ARGS has no K8S_POD_NAMESPACE and K8S_POD_NAME, and the network configuration has no \"nuage\""
                    .to_owned(),
            ]));
        }
    };
    // What the runtime asks for through a capability is the operator's will, not the pod's.
    if let Some(address) = call.request.network.ips.first() {
        placement.static_ip = Some(address.addr());
    }
    if let Some(mac) = &call.request.network.mac {
        placement.mac = Some(labels::mac("runtimeConfig.mac", mac)?);
    }
    Ok(Wish { placement, monitor })
}

/// Tells the monitor that a pod of this namespace is gone. Sites without a monitor need nothing.
///
/// # Errors
/// What kept the message from being delivered.
pub async fn notify_deleted(call: &Call<'_>, pod: &Pod) -> Result<(), Error> {
    if call.orchestrator == Orchestrator::Mesos {
        return Ok(());
    }
    let vsp = load_vsp(&*call.host.files, call.orchestrator, call.config_dir)?;
    monitor::deleted(call, &vsp, pod).await
}
