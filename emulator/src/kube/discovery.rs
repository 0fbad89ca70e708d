//! What kubectl asks before it asks for anything: version, groups, resources, and the part of the `OpenAPI` document that
//! tells it which parameters the server takes.

use serde_json::{Value, json};

use super::store::Resource;

/// The version that is claimed: one whose pods, nodes and namespaces look as ours do.
const VERSION: &str = "v1.32.0";

pub(super) fn version() -> Value {
    json!({
        "major": "1", "minor": "32", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64"
    })
}

pub(super) fn api_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

pub(super) fn groups() -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
}

pub(super) fn resources() -> Value {
    let resource = |resource: Resource| {
        let short = match resource {
            Resource::Events => "ev",
            Resource::Namespaces => "ns",
            Resource::Nodes => "no",
            Resource::Pods => "po",
        };
        json!({
            "name": resource.name(), "singularName": resource.kind().to_lowercase(), "namespaced": resource.namespaced(),
            "kind": resource.kind(), "shortNames": [short],
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]
        })
    };
    let all: Vec<Value> = Resource::ALL.into_iter().map(resource).collect();
    json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": all})
}

pub(super) fn openapi_index() -> Value {
    json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}}})
}

/// kubectl looks for the parameter `fieldValidation` of a PATCH of the kind that it is about to create.
pub(super) fn openapi() -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let mut paths = json!({});
    for resource in Resource::ALL {
        let kind = json!({"group": "", "version": "v1", "kind": resource.kind()});
        let place = if resource.namespaced() { "namespaces/{namespace}/" } else { "" };
        let path = format!("/api/v1/{place}{}/{{name}}", resource.name());
        paths[path] = json!({"patch": {
            "parameters": [parameter("fieldValidation"), parameter("dryRun")],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": kind
        }});
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths,
        "components": {"schemas": {}}
    })
}
