//! Promises about subnets, their addresses and DHCP options. Evidence: recorded replies of VSD 5.0 (gateway is the first
//! host), the codes that neutron's plugin acts on (2504, 2505, 2702, 2704, 7205) and the API's specification (ranges,
//! reservations, families).

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Answer, Tree, address, tree};

impl Tree {
    async fn below_zone(&self, body: Value) -> Answer {
        self.client.post(&format!("zones/{}/subnets", self.zone), body).await
    }

    /// A container with one interface.
    async fn attach(&self, name: &str, interface: Value) -> Answer {
        let body = json!({ "name": name, "UUID": name, "orchestrationID": name, "interfaces": [interface] });
        self.client.post("containers", body).await
    }
}

fn addresses(answer: &Answer) -> [Value; 2] {
    let interface = &answer.one()["interfaces"][0];
    ["IPAddress", "IPv6Address"].map(|attribute| interface[attribute].clone())
}

#[tokio::test(start_paused = true)]
async fn a_subnet_without_a_range_is_cut_out_of_its_zones_around_what_is_there() {
    let tree = tree().await;
    let zone = json!({ "name": "pool", "address": "10.50.0.0", "netmask": "255.255.255.0", "numberOfHostsInSubnets": 64 });
    let zone = tree.client.post(&format!("domains/{}/zones", tree.domain), zone).await.id();
    tree.subnet("elsewhere", "10.50.0.96", "255.255.255.240").await.id();
    let cut =
        async |name: &str| tree.client.post(&format!("zones/{zone}/subnets"), json!({ "name": name })).await;
    for (name, expected) in [("a", "10.50.0.0"), ("b", "10.50.0.128"), ("c", "10.50.0.192")] {
        let made = cut(name).await.one();
        assert_eq!((&made["address"], &made["netmask"]), (&json!(expected), &json!("255.255.255.192")));
    }
    assert_eq!(cut("d").await.status, StatusCode::CONFLICT);
    tree.below_zone(json!({ "name": "no range" })).await.refused(5001);
}

#[tokio::test(start_paused = true)]
async fn a_subnet_has_a_range_of_each_family_of_its_type_and_overlaps_none_of_either() {
    let tree = tree().await;
    let six = json!({ "name": "six", "IPType": "IPV6", "IPv6Address": "2001:db8:1::/64" });
    let made = tree.below_zone(six).await.one();
    assert_eq!((&made["IPv6Gateway"], &made["gateway"]), (&json!("2001:db8:1::1"), &Value::Null));
    let dual = json!({ "name": "dual", "IPType": "DUALSTACK", "address": "10.60.0.0", "netmask": "255.255.255.0",
                       "IPv6Address": "2001:db8:2::/64", "IPv6Gateway": "2001:db8:2::ff" });
    let made = tree.below_zone(dual).await.one();
    assert_eq!((&made["IPv6Gateway"], &made["gateway"]), (&json!("2001:db8:2::ff"), &json!("10.60.0.1")));
    for (name, range) in
        [("wide", "2001:db8::/32"), ("same", "2001:db8:1::/64"), ("narrow", "2001:db8:2::8:0/112")]
    {
        tree.below_zone(json!({ "name": name, "IPType": "IPV6", "IPv6Address": range })).await.refused(2504);
    }
    let half = json!({ "name": "half", "IPType": "DUALSTACK", "IPv6Address": "2001:db8:9::/64" });
    tree.below_zone(half).await.refused(5001);
    for range in ["2001:db8:5::1/64", "2001:db8:5::/127", "10.0.0.0/24", "::/0", "x"] {
        let wrong = tree.below_zone(json!({ "name": "w", "IPType": "IPV6", "IPv6Address": range })).await;
        assert_eq!(wrong.status, StatusCode::CONFLICT, "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn interfaces_get_an_address_of_each_family_and_run_out_of_either_with_2702() {
    let tree = tree().await;
    let dual = json!({ "name": "dual", "IPType": "DUALSTACK", "address": "10.60.0.0", "netmask": "255.255.255.0",
                       "IPv6Address": "2001:db8::/125" });
    let dual = tree.below_zone(dual).await.id();
    let made = tree.attach("a", json!({ "attachedNetworkID": dual })).await;
    assert_eq!(addresses(&made), [json!("10.60.0.2"), json!("2001:db8::2")]);
    assert_eq!(made.one()["interfaces"][0]["IPv6Gateway"], json!("2001:db8::1"));
    let asked =
        json!({ "attachedNetworkID": dual, "IPAddress": "10.60.0.9", "IPv6Address": "2001:db8::4/125" });
    assert_eq!(addresses(&tree.attach("b", asked).await), [json!("10.60.0.9"), json!("2001:db8::4")]);
    let taken = json!({ "attachedNetworkID": dual, "IPv6Address": "2001:db8::2" });
    tree.attach("c", taken).await.refused(2704);
    let mut given = Vec::new();
    for name in ["d", "e", "f", "g"] {
        given.push(addresses(&tree.attach(name, json!({ "attachedNetworkID": dual })).await)[1].clone());
    }
    assert_eq!(given, ["2001:db8::3", "2001:db8::5", "2001:db8::6", "2001:db8::7"].map(Value::from));
    tree.attach("h", json!({ "attachedNetworkID": dual })).await.refused(2702);

    let fixed = json!({ "name": "fixed", "IPType": "DUALSTACK", "address": "10.61.0.0", "netmask": "255.255.255.0",
                        "IPv6Address": "2001:db8:1::/64", "dualStackDynamicIPAllocation": false });
    let fixed = tree.below_zone(fixed).await.id();
    tree.attach("i", json!({ "attachedNetworkID": fixed })).await.refused(5001);
    let one = json!({ "attachedNetworkID": fixed, "IPv6Address": "2001:db8:1::9" });
    assert_eq!(addresses(&tree.attach("i", one).await), [Value::Null, json!("2001:db8:1::9")]);
}

#[tokio::test(start_paused = true)]
async fn address_ranges_bound_what_is_given_unasked_and_overlap_no_other() {
    let tree = tree().await;
    let subnet = tree.subnet("pools", "10.62.0.0", "255.255.255.0").await.id();
    let ranges = format!("subnets/{subnet}/addressranges");
    let range = |first: &str, last: &str, kind: Value| json!({ "minAddress": first, "maxAddress": last, "DHCPPoolType": kind });
    let bridge = range("10.62.0.2", "10.62.0.9", json!("BRIDGE"));
    tree.client.post(&ranges, bridge).await.id();
    let free = json!({ "attachedNetworkID": subnet });
    assert_eq!(
        address(&tree.attach("a", free.clone()).await),
        "10.62.0.10",
        "the bridge's are not for hosts"
    );
    for (first, last, kind) in
        [("10.62.0.200", "10.62.0.201", json!("HOST")), ("10.62.0.100", "10.62.0.100", Value::Null)]
    {
        tree.client.post(&ranges, range(first, last, kind)).await.id();
    }
    for (name, expected) in [("b", "10.62.0.100"), ("c", "10.62.0.200"), ("d", "10.62.0.201")] {
        assert_eq!(address(&tree.attach(name, free.clone()).await), expected);
    }
    tree.attach("e", free).await.refused(2702);
    let asked = json!({ "attachedNetworkID": subnet, "IPAddress": "10.62.0.50" });
    assert_eq!(address(&tree.attach("e", asked).await), "10.62.0.50", "who asks may have any");
    tree.client.post(&ranges, range("10.62.0.150", "10.62.0.200", Value::Null)).await.refused(2504);
    for (first, last) in
        [("10.62.0.9", "10.62.0.8"), ("10.63.0.1", "10.63.0.2"), ("x", "y"), ("10.62.0.1", "::1")]
    {
        let wrong = tree.client.post(&ranges, range(first, last, Value::Null)).await;
        assert_eq!(wrong.status, StatusCode::CONFLICT, "{first} {last}");
    }
}

#[tokio::test(start_paused = true)]
async fn reserved_and_virtual_addresses_are_given_to_nobody_else() {
    let tree = tree().await;
    let (client, subnet) = (&tree.client, format!("subnets/{}", tree.subnet));
    let reserve = json!({ "MAC": "02:00:00:00:00:AA", "IPAddress": "10.1.0.2" });
    client.post(&format!("{subnet}/ipreservations"), reserve.clone()).await.id();
    client.post(&format!("{subnet}/ipreservations"), reserve).await.refused(7205);
    let machine = json!({ "IPV4Address": "10.1.0.3" });
    let machine = client.post(&format!("{subnet}/vmipreservations"), machine).await;
    assert_eq!(machine.one()["state"], json!("UNASSIGNED"));
    let port = client.post(&format!("{subnet}/vports"), json!({ "name": "p", "type": "VM" })).await.id();
    let virtual_ip =
        client.post(&format!("vports/{port}/virtualips"), json!({ "virtualIP": "10.1.0.4" })).await;
    assert_eq!(virtual_ip.one()["subnetID"], json!(tree.subnet));
    assert_eq!(client.get(&format!("{subnet}/virtualips")).await.header("x-nuage-count"), "1");
    client.post(&format!("vports/{port}/virtualips"), json!({ "virtualIP": "10.1.0.4" })).await.refused(2704);
    client.post(&format!("vports/{port}/virtualips"), json!({ "virtualIP": "10.1.0.1" })).await.refused(2704);

    assert_eq!(address(&tree.container("a", None).await), "10.1.0.5", "the first that nothing is kept for");
    tree.container("b", Some("10.1.0.2")).await.refused(2704);
    tree.container("b", Some("10.1.0.4")).await.refused(2704);
    let kept = json!({ "attachedNetworkID": tree.subnet, "MAC": "02:00:00:00:00:aa" });
    assert_eq!(
        address(&tree.attach("c", kept).await),
        "10.1.0.2",
        "the one that is kept for the MAC address"
    );
    let reserved = tree.container("d", Some("10.1.0.3")).await;
    let state =
        async || client.get(&format!("vmipreservations/{}", machine.id())).await.one()["state"].clone();
    assert_eq!((address(&reserved).as_str(), state().await), ("10.1.0.3", json!("ASSIGNED")));
    client.delete(&format!("containers/{}", reserved.id())).await;
    assert_eq!(state().await, json!("UNASSIGNED"));
    client.delete(&format!("virtualips/{}", virtual_ip.id())).await;
    assert_eq!(address(&tree.container("e", None).await), "10.1.0.4");
}

#[tokio::test(start_paused = true)]
async fn an_interfaces_address_can_be_changed_to_a_free_one_and_the_old_one_is_free_again() {
    let tree = tree().await;
    let first = tree.container("a", None).await;
    let second = tree.container("b", None).await;
    let interface = format!("containerinterfaces/{}", first.one()["interfaces"][0]["ID"].as_str().unwrap());
    tree.client.put(&interface, json!({ "IPAddress": address(&second) })).await.refused(2704);
    assert_eq!(
        tree.client.put(&interface, json!({ "IPAddress": "10.9.9.9" })).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(tree.client.put(&interface, json!({ "IPAddress": "10.1.0.6" })).await.status, 204);
    assert_eq!(tree.client.get(&interface).await.one()["IPAddress"], json!("10.1.0.6"));
    assert_eq!(address(&tree.container("c", None).await), "10.1.0.2");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_moves_only_to_an_address_that_nobody_has() {
    let tree = tree().await;
    tree.container("a", None).await.id();
    let subnet = format!("subnets/{}", tree.subnet);
    tree.client.put(&subnet, json!({ "gateway": "10.1.0.2" })).await.refused(2704);
    assert_eq!(tree.client.put(&subnet, json!({ "gateway": "10.1.0.7" })).await.status, StatusCode::CONFLICT);
    assert_eq!(
        tree.client.put(&subnet, json!({ "gateway": "10.1.0.6" })).await.status,
        StatusCode::NO_CONTENT
    );
    let made = tree.container("b", None).await;
    assert_eq!(
        (address(&made).as_str(), &made.one()["interfaces"][0]["gateway"]),
        ("10.1.0.1", &json!("10.1.0.6"))
    );
}

#[tokio::test(start_paused = true)]
async fn dhcp_options_say_the_same_in_bytes_and_in_words_and_the_nearest_holds() {
    let tree = tree().await;
    let (client, options) = (&tree.client, format!("subnets/{}/dhcpoptions", tree.subnet));
    for (kind, values, bytes) in [
        (6, json!(["8.8.8.8", "10.0.0.1"]), ("06", "08", "080808080a000001")),
        (26, json!(["1450"]), ("1a", "02", "05aa")),
        (15, json!(["example.org"]), ("0f", "0b", "6578616d706c652e6f7267")),
    ] {
        let words = json!({ "actualType": kind, "actualValues": values });
        let made = client.post(&options, words).await;
        let option = made.one();
        assert_eq!(
            [&option["type"], &option["length"], &option["value"]],
            [bytes.0, bytes.1, bytes.2].map(|b| json!(b)).each_ref()
        );
        client.delete(&format!("dhcpoptions/{}", made.id())).await;
        let raw = json!({ "type": bytes.0, "length": bytes.1, "value": bytes.2 });
        let option = client.post(&options, raw).await.one();
        assert_eq!((&option["actualType"], &option["actualValues"]), (&json!(kind), &values));
    }
    for wrong in [
        json!({ "type": "zz", "length": "00", "value": "" }),
        json!({ "type": "06", "length": "04", "value": "08" }),
        json!({ "actualType": 6, "actualValues": ["no address"] }),
        json!({ "actualType": 26, "actualValues": ["70000"] }),
        json!({ "actualType": 300 }),
    ] {
        assert_eq!(client.post(&options, wrong.clone()).await.status, StatusCode::CONFLICT, "{wrong}");
    }
    let far = json!({ "actualType": 6, "actualValues": ["9.9.9.9"] });
    client.post(&format!("zones/{}/dhcpoptions", tree.zone), far).await.id();
    let clock = json!({ "actualType": 42, "actualValues": ["10.0.0.9"] });
    client.post(&format!("domains/{}/dhcpoptions", tree.domain), clock).await.id();
    let made = tree.container("a", None).await.one();
    let interface = made["interfaces"][0]["ID"].as_str().unwrap().to_owned();
    let held = client.get(&format!("containerinterfaces/{interface}/dhcpoptions")).await.json();
    let held: std::collections::BTreeMap<u64, Value> = held
        .as_array()
        .unwrap()
        .iter()
        .map(|option| (option["actualType"].as_u64().unwrap(), option["actualValues"][0].clone()))
        .collect();
    assert_eq!(held.keys().copied().collect::<Vec<_>>(), [6, 15, 26, 42]);
    assert_eq!((&held[&6], &held[&42]), (&json!("8.8.8.8"), &json!("10.0.0.9")));
}
