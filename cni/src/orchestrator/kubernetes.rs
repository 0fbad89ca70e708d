//! Kubernetes and OpenShift: the pod's object says what it chose, the monitor says which subnet it gets.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::http_call::{Server, excerpt, send};
use super::labels::{self, Choices};
use super::{Placement, Pod, monitor};
use crate::call::Call;
use crate::config::{Kubeconfig, VspConfig, load_vsp};
use crate::error::Error;

/// No pod object is longer: etcd takes 1.5 MB, and the API server's answer can be larger.
const MAX_POD_BYTES: usize = 4 << 20;
const PEER: &str = "the Kubernetes API server";

/// Whom a pod's placement is asked of.
pub(super) struct Peers {
    vsp: VspConfig,
    api: Api,
    monitor: Option<Server>,
}

/// The API server, and what lets us in.
struct Api {
    server: Server,
    token: Option<String>,
}

impl Peers {
    /// Begins to connect to both.
    pub(super) fn open(call: &Call<'_>) -> Result<Self, Error> {
        let vsp = load_vsp(&*call.host.files, call.orchestrator, call.config_dir)?;
        let Kubeconfig { server, token, identity } = vsp.kubeconfig(&*call.host.files)?;
        let place = vsp.kubeconfig.display().to_string();
        let server = Server::open(call, ("server", &server), &place, &identity)?;
        let monitor = monitor::open(call, &vsp)?;
        Ok(Self { vsp, api: Api { server, token }, monitor })
    }
}

/// A pod that the monitor gives its subnet.
pub(super) struct Assigning {
    monitor: Server,
    pod: Pod,
    /// A zone and subnet of the pod's own choice.
    wish: Option<(String, String)>,
    /// Whether the pod chose its policy group.
    grouped: bool,
}

impl Assigning {
    /// The subnet and the policy groups.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<(String, Vec<String>), Error> {
        let asking = Instant::now();
        let wish = self.wish.as_ref().map(|(zone, subnet)| (zone.as_str(), subnet.as_str()));
        let assignment = monitor::assign(call, &self.monitor, &self.pod, wish).await?;
        call.log.phase("monitor", asking);
        let groups = assignment.policy_groups;
        if !self.grouped && groups.len() > 1 && !call.node.multiple_policy_groups {
            call.log.warn(
                "only the first policy group is used (multiplepolicygroups)",
                &[("groups", &groups.join(","))],
            );
        }
        Ok((assignment.subnet, groups))
    }
}

/// What a pod chose, and whom to ask for the rest.
pub(super) async fn wish(
    call: &Call<'_>,
    pod: &Pod,
    peers: Peers,
) -> Result<(Placement, Option<Assigning>), Error> {
    let Peers { vsp, api, monitor } = peers;
    for warning in call.node.warnings.iter().chain(&vsp.warnings) {
        call.log.warn("odd configuration", &[("what", warning)]);
    }
    let asking = Instant::now();
    let object = get_pod(call, &api, pod).await?;
    call.log.phase("api", asking);
    check_uid(pod, &object["metadata"])?;
    let choices = labels::of_pod(&object["metadata"], &vsp)?;
    let zone = choices.zone.clone().unwrap_or_else(|| pod.namespace.clone());
    let (network, assigning) = match monitor {
        Some(monitor) => {
            let wish = own_choice(pod, &choices)?;
            let grouped = choices.policy_group.is_some();
            (String::new(), Some(Assigning { monitor, pod: pod.clone(), wish, grouped }))
        }
        None => (without_monitor(call, &vsp, &api, pod, &choices).await?, None),
    };
    let user = choices.user.unwrap_or(vsp.user);
    if user.is_empty() {
        return Err(Error::Config {
            what: "vsdUser".to_owned(),
            details: "is empty, and the pod has no label nuage.io/user".to_owned(),
            hint: Some("name the VSD user in whose name the pods are".to_owned()),
        });
    }
    let placement = Placement {
        enterprise: vsp.enterprise,
        domain: vsp.domain,
        zone,
        network,
        user,
        policy_groups: choices.policy_group.into_iter().collect(),
        static_ip: choices.static_ip,
        redirection_target: choices.redirection_target,
        mac: choices.mac,
    };
    Ok((placement, assigning))
}

/// A zone and subnet of the pod's own choice. A subnet without another zone is the monitor's to choose, as it always was.
fn own_choice(pod: &Pod, choices: &Choices) -> Result<Option<(String, String)>, Error> {
    match (choices.zone.as_deref().filter(|zone| *zone != pod.namespace), choices.subnet.as_deref()) {
        (None, _) => Ok(None),
        (Some(zone), Some(subnet)) => Ok(Some((zone.to_owned(), subnet.to_owned()))),
        (Some(_), None) => Err(Error::Config {
            what: "label nuage.io/subnet".to_owned(),
            details: "is missing beside nuage.io/zone".to_owned(),
            hint: Some("a pod that chooses its zone chooses its subnet too".to_owned()),
        }),
    }
}

/// The subnet of a pod on a site without a monitor.
async fn without_monitor(
    call: &Call<'_>,
    vsp: &VspConfig,
    api: &Api,
    pod: &Pod,
    choices: &Choices,
) -> Result<String, Error> {
    if let Some(zone) = choices.zone.as_deref().filter(|zone| *zone != pod.namespace) {
        // A zone that is named after another namespace is that namespace's.
        let path = format!("/api/v1/namespaces/{zone}");
        if super::identity::is_dns_label(zone) && get(call, api, &path).await?.is_some() {
            return Err(Error::Refused {
                peer: "the plugin".to_owned(),
                details: format!("zone {zone} belongs to the namespace of that name"),
                hint: Some("choose a zone that no namespace is named after".to_owned()),
            });
        }
    }
    let chosen = choices.subnet.clone().or_else(|| vsp.default_subnet.clone());
    Ok(chosen.unwrap_or_else(|| format!("{}-0", pod.namespace)))
}

async fn get_pod(call: &Call<'_>, api: &Api, pod: &Pod) -> Result<Value, Error> {
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
    get(call, api, &path).await?.ok_or_else(|| Error::Refused {
        peer: PEER.to_owned(),
        details: format!("pod {}/{} does not exist", pod.namespace, pod.name),
        hint: None,
    })
}

/// Reads an object; `None` where there is none.
async fn get(call: &Call<'_>, api: &Api, path: &str) -> Result<Option<Value>, Error> {
    let Api { server, token } = api;
    let mut request =
        Request::builder().uri(format!("{}{path}", server.url)).header("accept", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Bytes::new()).map_err(|error| Error::Config {
        what: "the server or the token of the kubeconfig".to_owned(),
        details: error.to_string(),
        hint: None,
    })?;
    let answer = send(server, PEER, request, MAX_POD_BYTES, call.deadline).await?;
    // A proxy in between may repeat the request in its answer.
    let told = String::from_utf8_lossy(&answer.body);
    let said = match token.as_deref().filter(|token| !token.is_empty()) {
        Some(token) => excerpt(told.replace(token, "(token)").as_bytes()),
        None => excerpt(told.as_bytes()),
    };
    let refused = |hint: &str| Error::Refused {
        peer: PEER.to_owned(),
        details: format!("{}: {said}", answer.status),
        hint: Some(hint.to_owned()),
    };
    match answer.status {
        StatusCode::OK => serde_json::from_slice(&answer.body).map(Some).map_err(|error| Error::Decode {
            what: format!("the answer of {PEER}"),
            details: error.to_string(),
        }),
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::UNAUTHORIZED => Err(refused("is the kubeconfig's token or certificate still valid?")),
        StatusCode::FORBIDDEN => Err(refused("the plugin's user needs the verb get on pods")),
        status => {
            Err(Error::TryAgain { what: format!("{PEER} answered {status}"), details: said, hint: None })
        }
    }
}

/// A pod that was deleted and made again under its name is another pod: its sandbox is not the one that is asked for.
fn check_uid(pod: &Pod, metadata: &Value) -> Result<(), Error> {
    let Some(uid) = pod.uid.as_deref() else { return Ok(()) };
    let annotation = |name: &str| metadata["annotations"][name].as_str();
    // Of a static pod the runtime knows the hash of its file; the API server has it as an annotation of the mirror.
    let known = [
        metadata["uid"].as_str(),
        annotation("kubernetes.io/config.mirror"),
        annotation("kubernetes.io/config.hash"),
    ];
    if known.contains(&Some(uid)) {
        return Ok(());
    }
    Err(Error::PodReplaced { pod: format!("{}/{}", pod.namespace, pod.name) })
}
