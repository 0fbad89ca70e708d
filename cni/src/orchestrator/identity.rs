//! Names: the same sandbox and interface give the same port and entity in every call, with nothing but the call to go
//! by. The rules are the original's where a VRS or a monitor relies on them.

use sha1::{Digest as _, Sha1};

use super::{Identity, Orchestrator, Pod};
use crate::error::Error;
use crate::protocol::Request;

/// The interface that runtimes give to a pod's first network and no other. Its name does not enter the port's, as the
/// original's never did, and the pod's default route leaves by it unless the network configuration says otherwise.
pub(crate) const FIRST_INTERFACE: &str = "eth0";
/// `nu` and these make 15 bytes, the longest name of a link.
const HASH_DIGITS: usize = 13;

/// Whose attachment a call is about.
///
/// # Errors
/// Code 4 where the arguments name a pod that cannot exist.
pub fn identity(orchestrator: Orchestrator, request: &Request) -> Result<Identity, Error> {
    let undashed: String = request.container_id.chars().filter(|character| *character != '-').collect();
    if orchestrator == Orchestrator::Mesos {
        // Written twice, a Mesos id has the length of a Docker id, which the VRS was made for.
        let doubled = format!("{undashed}{undashed}");
        return Ok(Identity {
            container_id: request.container_id.clone(),
            ifname: request.ifname.clone(),
            port_name: port_name(&doubled, &request.ifname),
            entity_uuid: doubled,
            entity_name: request.container_id.clone(),
            pod: None,
        });
    }
    let argument = |name: &str| request.args.get(name).filter(|value| !value.is_empty());
    let pod = match (argument("K8S_POD_NAMESPACE"), argument("K8S_POD_NAME")) {
        (Some(namespace), Some(name)) => {
            let mut problems = Vec::new();
            problems.extend(check_dns("K8S_POD_NAMESPACE", namespace, 63));
            problems.extend(check_dns("K8S_POD_NAME", name, 253));
            if !problems.is_empty() {
                return Err(Error::Environment(problems));
            }
            Some(Pod {
                namespace: namespace.clone(),
                name: name.clone(),
                uid: argument("K8S_POD_UID").cloned(),
            })
        }
        _ => None,
    };
    let entity_uuid = argument("K8S_POD_INFRA_CONTAINER_ID").unwrap_or(&request.container_id).clone();
    Ok(Identity {
        container_id: request.container_id.clone(),
        ifname: request.ifname.clone(),
        port_name: port_name(&undashed, &request.ifname),
        entity_uuid,
        entity_name: pod.as_ref().map_or_else(|| request.container_id.clone(), |pod| pod.name.clone()),
        pod,
    })
}

fn port_name(id: &str, ifname: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(id);
    if ifname != FIRST_INTERFACE {
        hash.update("/");
        hash.update(ifname);
    }
    let digits = format!("{:x}", hash.finalize());
    format!("nu{}", &digits[..HASH_DIGITS])
}

/// A DNS name (RFC 1123) of at most `longest` bytes: what a namespace or pod can be called, and safe within a URL.
fn check_dns(what: &str, name: &str, longest: usize) -> Option<String> {
    let right = name.len() <= longest && name.split('.').all(is_dns_label);
    (!right).then(|| format!("CNI_ARGS: {what} is no DNS name"))
}

/// A DNS label of RFC 1123, as far as its characters go.
pub(super) fn is_dns_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edge = |byte: Option<u8>| byte.is_some_and(inner);
    edge(label.bytes().next())
        && edge(label.bytes().last())
        && label.bytes().all(|byte| inner(byte) || byte == b'-')
}
