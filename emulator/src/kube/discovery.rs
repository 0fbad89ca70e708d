//! What kubectl asks before it asks for anything: version, groups, resources, and the part of the `OpenAPI` document that
//! tells it which parameters the server takes.

use serde_json::{Value, json};

use super::store::{NETWORKING, Resource};

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
    let version = json!({"groupVersion": NETWORKING, "version": "v1"});
    let group =
        json!({"name": "networking.k8s.io", "versions": [version.clone()], "preferredVersion": version});
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
}

pub(super) fn resources() -> Value {
    resources_of("v1")
}

pub(super) fn networking() -> Value {
    resources_of(NETWORKING)
}

fn of(version: &str) -> impl Iterator<Item = Resource> {
    Resource::ALL.into_iter().filter(move |resource| resource.api_version() == version)
}

fn resources_of(version: &str) -> Value {
    let resource = |resource: Resource| {
        json!({
            "name": resource.name(), "singularName": resource.kind().to_lowercase(), "namespaced": resource.namespaced(),
            "kind": resource.kind(), "shortNames": [resource.short()],
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]
        })
    };
    let all: Vec<Value> = of(version).map(resource).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": all})
}

pub(super) fn openapi_index() -> Value {
    json!({"paths": {
        "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"},
        "apis/networking.k8s.io/v1": {"serverRelativeURL": "/openapi/v3/apis/networking.k8s.io/v1?hash=1"},
    }})
}

/// kubectl looks for the parameter `fieldValidation` of a PATCH of the kind that it is about to create.
pub(super) fn openapi() -> Value {
    openapi_of("v1", "/api/v1", "")
}

pub(super) fn networking_openapi() -> Value {
    openapi_of(NETWORKING, "/apis/networking.k8s.io/v1", "networking.k8s.io")
}

fn openapi_of(version: &str, root: &str, group: &str) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let mut paths = json!({});
    for resource in of(version) {
        let kind = json!({"group": group, "version": "v1", "kind": resource.kind()});
        let place = if resource.namespaced() { "namespaces/{namespace}/" } else { "" };
        let path = format!("{root}/{place}{}/{{name}}", resource.name());
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
