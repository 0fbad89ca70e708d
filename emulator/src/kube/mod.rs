//! The slice of the Kubernetes API that the plugin, the audit, the monitor, the harness and kubectl need: pods, nodes, namespaces,
//! services, network policies and events with get, list, watch, create, update, patch and delete. Runs no pod, forwards nothing.

mod discovery;
mod feeds;
mod kept;
mod protobuf;
mod request;
mod selector;
mod status;
mod store;
mod table;
mod watch;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use ipnet::Ipv4Net;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::entropy::Entropy;
pub use status::Status;
use store::{Key, Resource, Store};

/// The addresses of services, as kubeadm gives them out.
pub(crate) const SERVICES: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 96, 0, 0), 12);

/// The API server. Clones are handles of the same one.
#[derive(Clone)]
pub struct Kube(Arc<Shared>);

struct Shared {
    store: Mutex<Store>,
    tokens: Mutex<BTreeSet<String>>,
    clock: Clock,
    entropy: Entropy,
}

impl std::fmt::Debug for Kube {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Kube")
    }
}

impl Kube {
    /// A cluster without nodes, with the namespaces `default` and `kube-system`.
    pub fn new(clock: Clock, entropy: Entropy) -> Self {
        let shared = Shared { store: Mutex::default(), tokens: Mutex::default(), clock, entropy };
        let kube = Self(Arc::new(shared));
        for name in ["default", "kube-system"] {
            // Cannot fail: nothing is there yet.
            let _ = kube.create(json!({"kind": "Namespace", "metadata": {"name": name}}));
        }
        kube
    }

    /// Requests with this bearer token are let in.
    pub fn add_token(&self, token: &str) {
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned());
    }

    /// The API: every request needs a known bearer token or a verified client certificate.
    pub fn router(&self) -> Router {
        request::router(self)
    }

    fn knows(&self, token: &str) -> bool {
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner).contains(token)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: Key, object: Option<Value>) -> Arc<Value> {
        Arc::new(self.store().put(key, object).unwrap_or_default())
    }

    /// Makes an object, as POST does.
    ///
    /// # Errors
    /// A [`Status`]: no known kind, no name, no such namespace, exists already.
    pub fn create(&self, mut object: Value) -> Result<Arc<Value>, Status> {
        let resource = object["kind"].as_str().and_then(Resource::from_kind);
        let resource = resource.ok_or_else(|| {
            Status::bad_request("kind must be Pod, Node, Namespace, Service, NetworkPolicy or Event")
        })?;
        if !object["metadata"].is_object() {
            return Err(Status::invalid("metadata is missing"));
        }
        let metadata = object["metadata"].clone();
        let text = |key: &str| metadata[key].as_str().filter(|text| !text.is_empty());
        let name = match (text("name"), text("generateName")) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => format!("{prefix}{:05x}", self.0.entropy.next() & 0xf_ffff),
            (None, None) => {
                return Err(Status::invalid(
                    "metadata.name: Required value: name or generateName is required",
                ));
            }
        };
        let namespace = if resource.namespaced() {
            text("namespace").unwrap_or("default").to_owned()
        } else {
            String::new()
        };
        let key = (resource, namespace.clone(), name.clone());
        {
            let store = self.store();
            if resource.namespaced() {
                store.get(&(Resource::Namespaces, String::new(), namespace.clone()))?;
            }
            if store.get(&key).is_ok() {
                return Err(Status::exists(resource.name(), &name));
            }
        }
        object["apiVersion"] = json!(resource.api_version());
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(self.0.entropy.uuid().to_string());
        object["metadata"]["creationTimestamp"] = json!(self.now());
        if resource.namespaced() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let phase = match resource {
            Resource::Pods => "Pending",
            Resource::Namespaces => "Active",
            Resource::Events | Resource::NetworkPolicies | Resource::Nodes | Resource::Services => "",
        };
        if !phase.is_empty() && object["status"]["phase"].is_null() {
            object["status"]["phase"] = json!(phase);
        }
        if resource == Resource::Services {
            self.give_address(&mut object)?;
        }
        if resource == Resource::Events {
            self.store().make_room_for_event();
        }
        Ok(self.put(key, Some(object)))
    }

    /// Gives a service the lowest free address of all services, unless it has one or wants none.
    fn give_address(&self, service: &mut Value) -> Result<(), Status> {
        let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
        if !service["spec"]["clusterIP"].is_null() || kind == "ExternalName" {
            return Ok(());
        }
        let store = self.store();
        let services = store.list(Resource::Services, None, None);
        let taken: BTreeSet<String> = services
            .filter_map(|service| service.read()["spec"]["clusterIP"].as_str().map(str::to_owned))
            .collect();
        let free = SERVICES.hosts().map(|host| host.to_string()).find(|host| !taken.contains(host));
        let free = free.ok_or_else(|| Status::invalid("spec.clusterIP: no address is free"))?;
        drop(store);
        if !service["spec"].is_object() {
            service["spec"] = json!({});
        }
        service["spec"]["clusterIP"] = json!(free);
        service["spec"]["type"] = json!(kind);
        Ok(())
    }

    /// Reads an object.
    ///
    /// # Errors
    /// [`Status`] of reason `NotFound`.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Arc<Value>, Status> {
        self.store().get(&key(kind, namespace, name)?).map(|object| Arc::new(object.read()))
    }

    /// Changes an object; `change` gets it as it is.
    ///
    /// # Errors
    /// [`Status`] of reason `NotFound`.
    pub fn update(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Status> {
        let key = key(kind, namespace, name)?;
        let mut object = self.store().get(&key)?.read();
        change(&mut object);
        Ok(self.put(key, Some(object)))
    }

    /// Deletes an object at once and returns it.
    ///
    /// # Errors
    /// [`Status`] of reason `NotFound`.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<Arc<Value>, Status> {
        let key = key(kind, namespace, name)?;
        let object = self.store().get(&key)?.clone();
        self.put(key, None);
        Ok(Arc::new(object.read()))
    }

    /// Now, as the API writes it.
    fn now(&self) -> String {
        let seconds = i64::try_from(self.0.clock.now() / 1000).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_or_else(|_| String::new(), |now| now.to_string())
    }
}

fn key(kind: &str, namespace: &str, name: &str) -> Result<Key, Status> {
    let resource = Resource::from_kind(kind).ok_or_else(|| Status::not_found(kind, name))?;
    let namespace = if resource.namespaced() { namespace } else { "" };
    Ok((resource, namespace.to_owned(), name.to_owned()))
}
