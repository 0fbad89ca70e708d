//! Promises about domains and their templates. Evidence: the API's specification (each instance's `templateID`, hidden
//! back-haul objects unless `createBackHaulSubnet` is false), the public usage page (300 for a template in use) and
//! recorded replies of VSD 5.0 (clients filter the hidden names out of `/zones` and `/subnets`).

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Client, tree};

async fn make(client: &Client, path: &str, body: Value) -> String {
    let made = client.post(path, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{path}: {}", made.json());
    made.id()
}

#[tokio::test(start_paused = true)]
async fn a_domain_gets_all_that_its_template_has_and_references_lead_to_the_instances() {
    let tree = tree().await;
    let (client, template) = (&tree.client, format!("domaintemplates/{}", tree.template));
    let zone = make(client, &format!("{template}/zonetemplates"), json!({ "name": "zt" })).await;
    let subnet = json!({ "name": "st", "address": "10.9.0.0", "netmask": "255.255.255.0" });
    let subnet = make(client, &format!("zonetemplates/{zone}/subnettemplates"), subnet).await;
    let range = json!({ "minAddress": "10.9.0.100", "maxAddress": "10.9.0.110" });
    make(client, &format!("subnettemplates/{subnet}/addressranges"), range).await;
    let group = json!({ "name": "gt", "type": "SOFTWARE" });
    let group = make(client, &format!("{template}/policygrouptemplates"), group).await;
    let target = json!({ "name": "rt", "endPointType": "L3" });
    make(client, &format!("{template}/redirectiontargettemplates"), target).await;
    make(client, &format!("{template}/qos"), json!({ "name": "qt" })).await;
    for way in ["ingress", "egress"] {
        let acl = json!({ "name": "at", "active": true, "priorityType": "TOP" });
        let acl = make(client, &format!("{template}/{way}acltemplates"), acl).await;
        let entry = json!({ "DSCP": "*", "action": "FORWARD", "etherType": "0x0800", "priority": 1,
                            "locationType": "POLICYGROUP", "locationID": group, "networkType": "ZONE", "networkID": zone });
        make(client, &format!("{way}acltemplates/{acl}/{way}aclentrytemplates"), entry).await;
    }

    let domain = json!({ "name": "d2", "templateID": tree.template });
    let domain = make(client, &format!("enterprises/{}/domains", tree.enterprise), domain).await;
    let below = async |path: &str, name: &str| {
        let found = client.filtered(&format!("domains/{domain}/{path}"), &format!("name == '{name}'")).await;
        found.one()
    };
    let (made_zone, made_group) = (below("zones", "zt").await, below("policygroups", "gt").await);
    assert_eq!((&made_zone["templateID"], &made_group["templateID"]), (&json!(zone), &json!(group)));
    assert_ne!(made_zone["ID"], json!(zone));
    let made_subnet = below("subnets", "st").await;
    assert_eq!((&made_subnet["gateway"], &made_subnet["templateID"]), (&json!("10.9.0.1"), &json!(subnet)));
    let ranges = client.get(&format!("subnets/{}/addressranges", made_subnet["ID"].as_str().unwrap())).await;
    assert_eq!(ranges.one()["minAddress"], json!("10.9.0.100"));
    assert_eq!(below("redirectiontargets", "rt").await["endPointType"], json!("L3"));
    below("qos", "qt").await;
    for way in ["ingress", "egress"] {
        let acl = below(&format!("{way}acltemplates"), "at").await;
        assert_eq!(acl["priorityType"], json!("TOP"));
        let entries = format!("{way}acltemplates/{}/{way}aclentrytemplates", acl["ID"].as_str().unwrap());
        let entry = client.get(&entries).await.one();
        assert_eq!((&entry["locationID"], &entry["networkID"]), (&made_group["ID"], &made_zone["ID"]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_domain_has_a_hidden_zone_and_subnet_unless_it_says_no() {
    let tree = tree().await;
    let client = &tree.client;
    for (name, wish, zones) in [("d2", Value::Null, "1"), ("d3", json!(true), "1"), ("d4", json!(false), "0")]
    {
        let domain = json!({ "name": name, "templateID": tree.template, "createBackHaulSubnet": wish });
        let domain = make(client, &format!("enterprises/{}/domains", tree.enterprise), domain).await;
        let found = client.get(&format!("domains/{domain}/zones")).await;
        assert_eq!(found.header("x-nuage-count"), zones, "{name}");
        if zones == "1" {
            assert_eq!(found.names(), ["BackHaulZone"]);
            let subnet = client.get(&format!("domains/{domain}/subnets")).await.one();
            assert_eq!((&subnet["name"], &subnet["address"]), (&json!("BackHaulSubnet"), &Value::Null));
        }
        let own = client.filtered(&format!("domains/{domain}/zones"), "name ISNOT 'BackHaulZone'").await;
        assert_eq!(own.header("x-nuage-count"), "0");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_lies_in_a_template_with_instances_is_changed_and_deleted_only_after_a_question() {
    let tree = tree().await;
    let (client, template) = (&tree.client, format!("domaintemplates/{}", tree.template));
    let zone = make(client, &format!("{template}/zonetemplates"), json!({ "name": "zt" })).await;
    let subnet = json!({ "name": "st", "address": "10.9.0.0", "netmask": "255.255.255.0" });
    let subnet = make(client, &format!("zonetemplates/{zone}/subnettemplates"), subnet).await;
    let group = json!({ "name": "gt", "type": "SOFTWARE" });
    let group = make(client, &format!("{template}/policygrouptemplates"), group).await;
    let acl = make(client, &format!("{template}/ingressacltemplates"), json!({ "name": "at" })).await;
    let change = json!({ "description": "x" });
    let parts = [
        template.clone(),
        format!("ingressacltemplates/{acl}"),
        format!("policygrouptemplates/{group}"),
        format!("zonetemplates/{zone}"),
        format!("subnettemplates/{subnet}"),
    ];
    for path in &parts {
        let asked = client.put(path, change.clone()).await;
        assert_eq!(asked.status, StatusCode::MULTIPLE_CHOICES, "{path}");
        assert_eq!(asked.json()["choices"][0], json!({ "id": 1, "label": "OK" }));
        assert_eq!(client.delete(path).await.status, StatusCode::MULTIPLE_CHOICES, "{path}");
        assert_eq!(client.get(path).await.one()["description"], Value::Null, "nothing happened to {path}");
        assert_eq!(
            client.put(&format!("{path}?responseChoice=1"), change.clone()).await.status,
            204,
            "{path}"
        );
    }
    for path in parts.iter().rev() {
        assert_eq!(client.delete(&format!("{path}?responseChoice=1")).await.status, 204, "{path}");
    }

    let unused =
        make(client, &format!("enterprises/{}/domaintemplates", tree.enterprise), json!({ "name": "u" }))
            .await;
    let part =
        make(client, &format!("domaintemplates/{unused}/zonetemplates"), json!({ "name": "zt" })).await;
    assert_eq!(client.put(&format!("zonetemplates/{part}"), change).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.delete(&format!("zonetemplates/{part}")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn a_layer_2_domain_takes_its_templates_range_only_where_it_manages_addresses() {
    let tree = tree().await;
    let client = &tree.client;
    let enterprise = format!("enterprises/{}", tree.enterprise);
    for managed in [true, false] {
        let template = json!({ "name": format!("t{managed}"), "DHCPManaged": managed, "address": "10.7.0.0",
                               "netmask": "255.255.255.248", "gateway": "10.7.0.1" });
        let template = make(client, &format!("{enterprise}/l2domaintemplates"), template).await;
        let group = json!({ "name": "gt", "type": "SOFTWARE" });
        make(client, &format!("l2domaintemplates/{template}/policygrouptemplates"), group).await;
        let domain = json!({ "name": format!("l{managed}"), "templateID": template });
        let domain = client.post(&format!("{enterprise}/l2domains"), domain).await.one();
        assert_eq!(domain["address"], if managed { json!("10.7.0.0") } else { Value::Null });
        assert!(domain["vnId"].is_u64() && domain["serviceID"].is_u64() && domain["routeTarget"].is_string());
        let id = domain["ID"].as_str().unwrap();
        assert_eq!(client.get(&format!("l2domains/{id}/policygroups")).await.names(), ["gt"]);

        let interface =
            json!({ "attachedNetworkID": id, "attachedNetworkType": "L2DOMAIN", "MAC": "02:00:00:00:00:01" });
        let pod = json!({ "name": "p", "UUID": format!("u{managed}"), "orchestrationID": "o", "interfaces": [interface] });
        let pod = client.post("containers", pod).await.one();
        let given = &pod["interfaces"][0]["IPAddress"];
        assert_eq!(*given, if managed { json!("10.7.0.2") } else { Value::Null });
        assert_eq!((&pod["l2DomainIDs"], &pod["subnetIDs"]), (&json!([id]), &json!([])));
        client.delete(&format!("l2domains/{id}?responseChoice=1")).await.refused(2506);
        client.delete(&format!("containers/{}", pod["ID"].as_str().unwrap())).await;
        assert_eq!(client.delete(&format!("l2domains/{id}?responseChoice=1")).await.status, 204);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_domain_was_given_of_its_template_is_asked_about_and_its_own_is_not() {
    let tree = tree().await;
    let (client, template) = (&tree.client, format!("domaintemplates/{}", tree.template));
    let zone = make(client, &format!("{template}/zonetemplates"), json!({ "name": "zt" })).await;
    let subnet = json!({ "name": "st", "address": "10.9.0.0", "netmask": "255.255.255.0" });
    let subnet = make(client, &format!("zonetemplates/{zone}/subnettemplates"), subnet).await;
    let range = json!({ "minAddress": "10.9.0.100", "maxAddress": "10.9.0.110" });
    let range = make(client, &format!("subnettemplates/{subnet}/addressranges"), range).await;
    let qos = make(client, &format!("{template}/qos"), json!({ "name": "qt" })).await;
    let expression = json!({ "name": "xt", "expression": "a && !b" });
    let expression = make(client, &format!("{template}/pgexpressiontemplates"), expression).await;
    for (path, change) in [
        (format!("addressranges/{range}"), json!({ "maxAddress": "10.9.0.120" })),
        (format!("qos/{qos}"), json!({ "name": "other" })),
        (format!("pgexpressiontemplates/{expression}"), json!({ "expression": "a" })),
    ] {
        assert_eq!(client.put(&path, change.clone()).await.status, StatusCode::MULTIPLE_CHOICES, "{path}");
        assert_eq!(client.delete(&path).await.status, StatusCode::MULTIPLE_CHOICES, "{path}");
        let sure = client.put(&format!("{path}?responseChoice=1"), change).await;
        assert_eq!(sure.status, StatusCode::NO_CONTENT, "{path}");
    }
    let own = make(client, &format!("zones/{}/qos", tree.zone), json!({ "name": "own" })).await;
    assert_eq!(client.delete(&format!("qos/{own}")).await.status, StatusCode::NO_CONTENT);
    for wrong in ["a &", "", "(a"] {
        let body = json!({ "name": "wrong", "expression": wrong });
        let refused = client.post(&format!("domains/{}/pgexpressions", tree.domain), body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{wrong:?}");
    }
}
