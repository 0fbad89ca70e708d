//! The rows that a VRS and its controller read. Columns, values and numbers are the product's: a VSC resolves a port only
//! if they are exactly these.

use nuage_ovsdb::Uuid;
use nuage_ovsdb::operation::{map, set};
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};

use crate::call::Call;
use crate::orchestrator::{Identity, Placement};

/// `type` of an entity: container.
pub(super) const TYPE_CONTAINER: i64 = 4;
/// `domain` of an entity and `vm_domain` of a port: Docker.
pub(super) const DOMAIN_DOCKER: i64 = 4;
/// `event` and `event_type`: started, booted. Only this makes a controller resolve the entity's ports.
const EVENT_STARTED: i64 = 2;
const EVENT_TYPE_BOOTED: i64 = 0;
/// `state` and `reason`: running, because it booted.
const STATE_RUNNING: i64 = 1;
const REASON_BOOTED: i64 = 1;
/// The only network type that the product knows.
const NETWORK_TYPE: &str = "ipv4";

/// The stamp that every port of this plugin carries and no port of the original does.
pub const SANDBOX_STAMP: &str = "nuage-cni-sandbox";
/// The interface in the sandbox.
pub const INTERFACE_STAMP: &str = "nuage-cni-interface";
/// The network's name.
pub const NETWORK_STAMP: &str = "nuage-cni-network";
/// The pod's namespace, if it is a pod's.
pub const NAMESPACE_STAMP: &str = "nuage-cni-namespace";
/// The pod's UID, if the runtime told it.
pub const POD_UID_STAMP: &str = "nuage-cni-pod-uid";
/// The two stamps that the original made, too: the entity's name and key.
pub const NAME_STAMP: &str = "vm-name";
/// The entity's key.
pub const UUID_STAMP: &str = "vm-uuid";

fn row<const N: usize>(columns: [(&str, Value); N]) -> Row {
    columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Whose it is: the original's two stamps, and ours. They stay out of the Nuage tables' metadata, which a VSC reads.
fn stamps(call: &Call<'_>, identity: &Identity) -> Value {
    let mut stamps = vec![
        (NAME_STAMP, identity.entity_name.as_str()),
        (UUID_STAMP, identity.entity_uuid.as_str()),
        (SANDBOX_STAMP, identity.container_id.as_str()),
        (INTERFACE_STAMP, identity.ifname.as_str()),
        (NETWORK_STAMP, call.request.network.name.as_str()),
    ];
    if let Some(pod) = &identity.pod {
        stamps.push((NAMESPACE_STAMP, &pod.namespace));
        stamps.extend(pod.uid.as_deref().map(|uid| (POD_UID_STAMP, uid)));
    }
    map(stamps)
}

/// Whether these `external_ids` carry a stamp that only this plugin makes.
pub fn has_our_stamp(external_ids: &Value) -> bool {
    let pairs = external_ids[1].as_array().map_or(&[][..], Vec::as_slice);
    pairs.iter().any(|pair| pair[0] == SANDBOX_STAMP)
}

/// The row in `Interface`.
pub fn interface(call: &Call<'_>, identity: &Identity) -> Row {
    row([("name", json!(identity.port_name)), ("external_ids", stamps(call, identity))])
}

/// The row in `Port`; `interface` is the name of the interface in the same transaction.
pub fn port(call: &Call<'_>, identity: &Identity, interface: &str) -> Row {
    row([
        ("name", json!(identity.port_name)),
        ("interfaces", json!(["named-uuid", interface])),
        ("external_ids", stamps(call, identity)),
    ])
}

/// The row in `Nuage_Port_Table`, unresolved.
pub fn nuage_port(
    call: &Call<'_>,
    identity: &Identity,
    placement: &Placement,
    mac: &str,
    bridge: &str,
) -> Row {
    let groups = if call.node.multiple_policy_groups {
        placement.policy_groups.join(",")
    } else {
        placement.policy_groups.first().cloned().unwrap_or_default()
    };
    let address = placement.static_ip.map(|address| address.to_string()).unwrap_or_default();
    let target = placement.redirection_target.clone().unwrap_or_default();
    let always = [
        ("nuage-enterprise-domain", placement.domain.as_str()),
        ("nuage-enterprise-network", &placement.network),
        ("nuage-enterprise-zone", &placement.zone),
        ("nuage-enterprise-network-type", NETWORK_TYPE),
    ];
    let given = [
        ("static-ip", address.as_str()),
        ("nuage-policy-group", &groups),
        ("nuage-redirection-target", &target),
    ];
    let metadata = always.into_iter().chain(given.into_iter().filter(|(_, value)| !value.is_empty()));
    row([
        ("name", json!(identity.port_name)),
        ("mac", json!(mac)),
        ("ip_addr", json!("")),
        ("subnet_mask", json!("")),
        ("gateway", json!("")),
        ("bridge", json!(bridge)),
        ("alias", json!("")),
        ("nuage_domain", json!(placement.domain)),
        ("nuage_network", json!(placement.network)),
        ("nuage_zone", json!(placement.zone)),
        ("nuage_network_type", json!(NETWORK_TYPE)),
        ("evpn_id", json!(0)),
        ("vrf_id", json!(0)),
        ("vm_domain", json!(DOMAIN_DOCKER)),
        ("dirty", json!(0)),
        ("metadata", map(metadata)),
    ])
}

/// The row in `Nuage_VM_Table`.
pub fn nuage_entity(call: &Call<'_>, identity: &Identity, placement: &Placement) -> Row {
    let site = call.node.site_id.map(|site| site.to_string());
    let metadata = [("enterprise", Some(placement.enterprise.as_str())), ("nuage-siteID", site.as_deref())];
    row([
        ("type", json!(TYPE_CONTAINER)),
        ("event", json!(EVENT_STARTED)),
        ("event_type", json!(EVENT_TYPE_BOOTED)),
        ("state", json!(STATE_RUNNING)),
        ("reason", json!(REASON_BOOTED)),
        ("vm_uuid", json!(identity.entity_uuid)),
        ("vm_name", json!(identity.entity_name)),
        ("domain", json!(DOMAIN_DOCKER)),
        ("nuage_user", json!(placement.user)),
        ("nuage_enterprise", json!(placement.enterprise)),
        ("ports", set([json!(identity.port_name)])),
        ("dirty", json!(0)),
        ("metadata", map(metadata.into_iter().filter_map(|(key, value)| Some((key, value?))))),
    ])
}

/// A set of strings in either notation.
pub fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(_) => {
            let all = value[1].as_array().map_or(&[][..], Vec::as_slice);
            all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// A row's identifier.
pub fn uuid(value: &Value) -> Option<Uuid> {
    Uuid::try_parse(value[1].as_str()?).ok()
}
