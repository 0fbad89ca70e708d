//! Promises about floating addresses. Evidence: recorded replies of VSD 5.0 (an address is picked, `assigned` follows the
//! vPort's `associatedFloatingIPID`, `assignedToObjectType`), what neutron's plugin tests of virtual addresses, and the
//! attributes of the API's specification (quota, underlay).

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Answer, Tree, tree};

impl Tree {
    async fn shared(&self, name: &str, more: Value) -> String {
        let mut body =
            json!({ "name": name, "type": "FLOATING", "address": "192.0.2.0", "netmask": "255.255.255.248" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.client.post("sharednetworkresources", body).await.id()
    }

    async fn floating(&self, network: &str, address: Option<&str>) -> Answer {
        let body = json!({ "associatedSharedNetworkResourceID": network, "address": address });
        self.client.post(&format!("domains/{}/floatingips", self.domain), body).await
    }

    async fn vm_port(&self, name: &str) -> String {
        let subnets = format!("zones/{}/subnets", self.zone);
        let subnet = self.client.filtered(&subnets, "name == 'floats'").await.one()["ID"].clone();
        let body = json!({ "name": name, "type": "VM", "addressSpoofing": "INHERITED" });
        self.client.post(&format!("subnets/{}/vports", subnet.as_str().unwrap()), body).await.id()
    }

    async fn state(&self, address: &str) -> [Value; 2] {
        let found = self.client.get(&format!("floatingips/{address}")).await.one();
        ["assigned", "assignedToObjectType"].map(|attribute| found[attribute].clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_floating_address_is_the_one_that_is_asked_for_or_the_lowest_free_one_until_none_is_left() {
    let tree = tree().await;
    let network = tree.shared("public", json!({})).await;
    let made = tree.client.get(&format!("sharednetworkresources/{network}")).await.one();
    assert_eq!((&made["gateway"], &made["DHCPManaged"]), (&json!("192.0.2.1"), &json!(true)));
    assert!(made["vnID"].is_u64() && made["domainRouteTarget"].is_string());
    let second = tree.floating(&network, Some("192.0.2.3")).await.one();
    assert_eq!((&second["address"], &second["assigned"]), (&json!("192.0.2.3"), &json!(false)));
    let mut given = Vec::new();
    for _ in 0..4 {
        given.push(tree.floating(&network, None).await.one()["address"].clone());
    }
    assert_eq!(given, ["192.0.2.2", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
    tree.floating(&network, Some("192.0.2.3")).await.refused(2704);
    tree.floating(&network, None).await.refused(2702);
    assert_eq!(tree.floating(&network, Some("192.0.2.99")).await.status, StatusCode::CONFLICT);
    let gone = tree.client.delete(&format!("floatingips/{}", second["ID"].as_str().unwrap())).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(tree.floating(&network, None).await.one()["address"], json!("192.0.2.3"));
    let kept = tree.client.delete(&format!("sharednetworkresources/{network}")).await;
    assert_eq!(kept.status, StatusCode::CONFLICT, "its addresses are in use");
}

#[tokio::test(start_paused = true)]
async fn a_vport_or_a_virtual_address_has_it_alone_and_lets_go_of_it() {
    let tree = tree().await;
    tree.subnet("floats", "10.7.0.0", "255.255.255.0").await.id();
    let network = tree.shared("public", json!({})).await;
    let (address, other) =
        (tree.floating(&network, None).await.id(), tree.floating(&network, None).await.id());
    let (port, second) = (tree.vm_port("a").await, tree.vm_port("b").await);
    let assign = async |port: &str, address: Value| {
        let body = json!({ "associatedFloatingIPID": address });
        tree.client.put(&format!("vports/{port}"), body).await.status
    };
    assert_eq!(assign(&port, json!(address)).await, StatusCode::NO_CONTENT);
    assert_eq!(tree.state(&address).await, [json!(true), json!("vport")]);
    assert_eq!(tree.client.get(&format!("floatingips/{address}/vports")).await.one()["ID"], json!(port));
    assert_eq!(assign(&second, json!(address)).await, StatusCode::CONFLICT, "another vPort has it");
    let kept = tree.client.delete(&format!("floatingips/{address}")).await;
    assert_eq!(kept.status, StatusCode::CONFLICT, "it is assigned");
    assert_eq!(assign(&port, json!(other)).await, StatusCode::NO_CONTENT);
    assert_eq!(tree.state(&address).await, [json!(false), Value::Null]);
    let virtual_address = json!({ "virtualIP": "10.7.0.99", "associatedFloatingIPID": address });
    let made = tree.client.post(&format!("vports/{second}/virtualips"), virtual_address).await.id();
    assert_eq!(tree.state(&address).await, [json!(true), json!("virtualip")]);
    tree.client.delete(&format!("virtualips/{made}")).await;
    tree.client.delete(&format!("vports/{port}")).await;
    for address in [&address, &other] {
        assert_eq!(tree.state(address).await, [json!(false), Value::Null]);
    }
    assert_eq!(assign(&second, json!("00000000-0000-4000-8000-000000000000")).await, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn an_enterprise_has_as_many_as_its_quota_and_those_of_the_underlay_in_domains_that_say_so() {
    let tree = tree().await;
    let enterprise = format!("enterprises/{}", tree.enterprise);
    tree.client.put(&enterprise, json!({ "floatingIPsQuota": 1 })).await;
    let network = tree.shared("public", json!({})).await;
    let used = async || tree.client.get(&enterprise).await.one()["floatingIPsUsed"].clone();
    let first = tree.floating(&network, None).await.id();
    assert_eq!(used().await, json!(1));
    assert_eq!(tree.floating(&network, None).await.status, StatusCode::CONFLICT);
    tree.client.delete(&format!("floatingips/{first}")).await;
    assert_eq!(used().await, json!(0));
    let below = json!({ "underlay": true, "address": "198.51.100.0" });
    let below = tree.shared("underlay", below).await;
    assert_eq!(tree.floating(&below, None).await.status, StatusCode::CONFLICT);
    tree.client.put(&format!("domains/{}", tree.domain), json!({ "FIPUnderlay": true })).await;
    assert_eq!(tree.floating(&below, None).await.status, StatusCode::CREATED);
    let public = tree.shared("no addresses", json!({ "type": "PUBLIC", "address": "203.0.113.0" })).await;
    assert_eq!(tree.floating(&public, None).await.status, StatusCode::CONFLICT);
}
