//! Second addresses, on a switch whose schema has columns for them: a client gives them to it by `convert`.

use std::time::Duration;

use nuage_emulator::vrs::SCHEMA;
use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};

use crate::world::{Pod, World, operator, settled, told, world};

/// A world whose switch has the columns, or has not, and whose subnet has both families.
async fn dual_stack(columns: bool) -> World {
    let world = world();
    let operator = operator(&world).await;
    let zone = world.vsd.snapshot("zone")[0]["ID"].as_str().unwrap().to_owned();
    let both = json!({ "name": "both", "IPType": "DUALSTACK", "address": "10.3.0.0", "netmask": "255.255.255.0",
                       "IPv6Address": "fd00:1::/64", "IPv6Gateway": "fd00:1::1" });
    operator.create(&format!("zones/{zone}/subnets"), &both).await.unwrap();
    if columns {
        let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let port = &mut schema["tables"]["Nuage_Port_Table"]["columns"];
        for (column, kind) in
            [("ip6_addr", "string"), ("ip6_prefix_len", "integer"), ("ip6_gateway", "string")]
        {
            port[column] = json!({ "type": kind });
        }
        let client = Client::spawn(world.vrs.connect().unwrap(), Limits::default());
        client.call("set_db_change_aware", json!([true]), Duration::from_secs(5)).await.unwrap();
        client.call("convert", json!(["Open_vSwitch", schema]), Duration::from_secs(5)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn both_addresses_are_answered_where_the_row_has_a_place_for_the_second() {
    let world = dual_stack(true).await;
    world.add(&Pod { subnet: "both", ..Pod::new("a") });
    settled().await;
    let port = world.port("a");
    assert_eq!([&port["ip_addr"], &port["gateway"]], [&json!("10.3.0.2"), &json!("10.3.0.1")]);
    assert_eq!([&port["ip6_addr"], &port["ip6_gateway"]], [&json!("fd00:1::2"), &json!("fd00:1::1")]);
    assert_eq!(port["ip6_prefix_len"], json!(64));

    let operator = operator(&world).await;
    let interface = world.vsd.snapshot("containerinterface")[0]["ID"].as_str().unwrap().to_owned();
    let interface = format!("containerinterfaces/{interface}");
    operator.update(&interface, &json!({ "IPv6Address": "fd00:1::77" })).await.unwrap();
    told().await;
    assert_eq!(
        world.port("a")["ip6_addr"],
        json!("fd00:1::77"),
        "a change of the second address is followed"
    );
    operator.delete(&interface).await.unwrap();
    told().await;
    let port = world.port("a");
    assert_eq!([&port["ip_addr"], &port["ip6_addr"]], [&json!("0.0.0.0"), &json!("")]);
}

#[tokio::test(start_paused = true)]
async fn on_another_switch_the_first_address_is_answered_alone() {
    let world = dual_stack(false).await;
    world.add(&Pod { subnet: "both", ..Pod::new("a") });
    settled().await;
    assert_eq!(world.address("a"), "10.3.0.2");
    assert!(world.port("a").get("ip6_addr").is_none());
    assert_eq!(world.vsd.snapshot("containerinterface")[0]["IPv6Address"], json!("fd00:1::2"));
}
