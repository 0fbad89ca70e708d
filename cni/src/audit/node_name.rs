//! What the API server calls this node. A host's name and its node's name differ on many sites; a wrong one would look like a node
//! without pods, so only a node that is there counts.

use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject};

use super::containers::Word;
use super::kubernetes::ApiServer;
use super::peer::describe;
use crate::host::Files;
use crate::journal::boot_id;

/// Set by the manifest (`fieldRef: spec.nodeName`).
pub const VARIABLE: &str = "KUBERNETES_NODE_NAME";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
const PAGE: u32 = 100;

/// A node as the API server lists it: name and boot.
type Listed = (String, String);

/// The node that this host is: the one that says that it runs this boot, else the one that has the host's name.
fn own(nodes: &[Listed], boot: &str, host_name: &str) -> Option<String> {
    let by_boot = nodes.iter().find(|(_, boot_id)| !boot.is_empty() && boot_id == boot);
    let by_name = nodes.iter().find(|(name, _)| name == host_name);
    by_boot.or(by_name).map(|(name, _)| name.clone())
}

/// The node's name: `given`, else the API server's own record of this host.
pub async fn find(api: &ApiServer, files: &dyn Files, given: Option<&str>) -> Word<String> {
    if let Some(name) = given.filter(|name| !name.is_empty()) {
        return Word::Told(name.to_owned());
    }
    let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Node>(&());
    let nodes: Api<DynamicObject> = Api::all_with(api.client(), &resource);
    let mut parameters = ListParams::default().limit(PAGE);
    let mut listed: Vec<Listed> = Vec::new();
    loop {
        let page = match nodes.list(&parameters).await {
            Ok(page) => page,
            Err(error) => return Word::Silent(describe(&error)),
        };
        listed.extend(page.items.into_iter().map(|node| {
            let boot = node.data["status"]["nodeInfo"]["bootID"].as_str().unwrap_or_default().to_owned();
            (node.metadata.name.unwrap_or_default(), boot)
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => break,
        }
    }
    let host_name = files.read(std::path::Path::new(HOST_NAME), 256).ok().flatten().unwrap_or_default();
    let host_name = String::from_utf8_lossy(&host_name).trim().to_owned();
    own(&listed, &boot_id(files), &host_name).map_or_else(
        || Word::Silent(format!("no node of the cluster is this host ({host_name}): set {VARIABLE}")),
        Word::Told,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_that_runs_this_boot_is_this_one_whatever_the_host_is_called() {
        let nodes = [("worker-7".to_owned(), "b7".to_owned()), ("host".to_owned(), "b8".to_owned())];
        assert_eq!(own(&nodes, "b7", "host").as_deref(), Some("worker-7"));
        assert_eq!(own(&nodes, "b9", "host").as_deref(), Some("host"));
        assert_eq!(own(&nodes, "", "host").as_deref(), Some("host"));
        // A6: a host whose name is no node's has no name to list pods by.
        assert_eq!(own(&nodes, "b9", "host.example"), None);
    }
}
