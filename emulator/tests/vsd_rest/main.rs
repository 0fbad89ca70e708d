//! Promises of the VSD's REST API, made at its router: statuses, bodies, headers and codes that real clients
//! act on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod access;
mod bulk;
mod client;
mod filters;
mod floating;
mod machines;
mod policies;
mod subnets;
mod templates;

use axum::body::Body;
use client::{Client, Tree, address, secret, tree};
use http::{Method, Request, StatusCode};
use nuage_emulator::http::PeerCertificate;
use nuage_emulator::vsd::Site;
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[tokio::test(start_paused = true)]
async fn me_accepts_both_schemes_and_gives_the_same_key_until_it_nears_its_end() {
    let mut client = Client::new();
    let first = client.get("me").await;
    assert_eq!(first.status, StatusCode::OK);
    let me = first.one();
    assert_eq!(
        (&me["role"], &me["enterpriseName"], &me["password"]),
        (&json!("CSPROOT"), &json!("CSP"), &Value::Null)
    );
    assert_eq!(me["APIKeyExpiry"], json!(1_700_000_000_123_u64 + 86_400_000));
    let key = me["APIKey"].as_str().unwrap().to_owned();
    client.headers = secret("Basic", "csproot", "csproot");
    assert_eq!(client.get("me").await.one()["APIKey"], json!(key));

    client.headers = secret("XREST", "csproot", &key);
    assert_eq!(client.get("enterprises").await.status, StatusCode::OK);
    tokio::time::advance(std::time::Duration::from_secs(86_400 - 200)).await;
    assert_ne!(client.get("me").await.one()["APIKey"], json!(key), "renewed");
    assert_eq!(client.get("enterprises").await.status, StatusCode::OK, "the old key is valid to its end");
    tokio::time::advance(std::time::Duration::from_secs(200)).await;
    assert_eq!(client.get("enterprises").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_known_gets_401_as_a_page() {
    let mut client = Client::new();
    let without_organization = secret("XREST", "csproot", "csproot").into_iter().take(1).collect();
    let other_organization = vec![
        secret("XREST", "csproot", "csproot").remove(0),
        ("X-Nuage-Organization".to_owned(), "acme".to_owned()),
    ];
    for headers in [
        Vec::new(),
        secret("XREST", "csproot", "wrong"),
        secret("XREST", "nobody", "csproot"),
        secret("Bearer", "csproot", "csproot"),
        without_organization,
        other_organization,
    ] {
        client.headers = headers;
        let answer = client.get("me").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.status.canonical_reason(), Some("Unauthorized"));
        assert_eq!(answer.header("content-type"), "text/html;charset=utf-8");
        assert!(answer.body.starts_with(b"<html>"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_is_an_identity_by_its_common_name() {
    let client = Client::new();
    client.vsd.certificate_user("monitor").unwrap();
    let ask = async |name: &str| {
        let mut request = Request::get("https://vsd/nuage/api/v6/enterprises").body(Body::empty()).unwrap();
        request.extensions_mut().insert(PeerCertificate { common_name: name.to_owned() });
        client.vsd.router().oneshot(request).await.unwrap().status()
    };
    assert_eq!(ask("monitor").await, StatusCode::OK);
    assert_eq!(ask("csproot").await, StatusCode::OK);
    assert_eq!(ask("stranger").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_created_object_comes_back_whole_and_is_read_listed_counted_updated_and_deleted() {
    let Tree { client, enterprise, .. } = tree().await;
    let path = format!("enterprises/{enterprise}");
    let read = client.get(&path).await;
    let object = read.one();
    assert_eq!(object["ID"], json!(enterprise));
    assert_eq!((&object["customerID"], &object["floatingIPsQuota"]), (&json!(10_000), &json!(16)));
    assert_eq!((&object["creationDate"], &object["parentID"]), (&json!(1_700_000_000_000_u64), &Value::Null));
    assert_eq!(object.get("description"), Some(&Value::Null), "absent values are explicit nulls");
    assert!(object["owner"].is_string());

    let listed = client.get("enterprises").await;
    assert_eq!((listed.status, listed.header("x-nuage-count")), (StatusCode::OK, "1"));
    assert_eq!(listed.names(), ["acme"], "the operator's own enterprise is not listed");
    let counted = client.send(Method::HEAD, "enterprises", &[], Body::empty()).await;
    assert_eq!(
        (counted.status, counted.header("x-nuage-count"), counted.body.len()),
        (StatusCode::OK, "1", 0)
    );

    let updated = client.put(&path, json!({ "description": "first", "customerID": null })).await;
    assert_eq!((updated.status, updated.body.len()), (StatusCode::NO_CONTENT, 0));
    let object = client.get(&path).await.one();
    assert_eq!((&object["description"], &object["customerID"]), (&json!("first"), &json!(10_000)));
    client.put(&path, object).await.refused(2039);

    let other = client.post("enterprises", json!({ "name": "other" })).await.id();
    let deleted = client.delete(&format!("enterprises/{other}?responseChoice=1")).await;
    assert_eq!((deleted.status, deleted.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(client.get(&format!("enterprises/{other}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_has_no_byte_and_a_length_and_a_count() {
    let Tree { client, domain, .. } = tree().await;
    let answer = client.filtered(&format!("domains/{domain}/zones"), "name == \"none\"").await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert_eq!((answer.header("content-length"), answer.header("x-nuage-count")), ("0", "0"));
    assert!(!answer.headers.contains_key("content-type"));
    assert_eq!(answer.header("x-nuage-filter"), "name == \"none\"");
    assert_eq!((answer.header("x-nuage-page"), answer.header("x-nuage-filtertype")), ("-1", "predicate"));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_404_with_both_texts_and_what_a_resource_cannot_do_is_405() {
    let Tree { client, zone, .. } = tree().await;
    let id = "00000000-0000-4000-8000-000000000000";
    let missing = client.filtered(&format!("subnets/{id}"), "name == 'x'").await;
    let description = format!("Cannot find subnet with ID {id}");
    let texts = json!({ "title": "subnet not found", "description": description });
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(
        missing.json(),
        json!({ "title": "subnet not found", "description": description,
                                       "errors": [{ "property": "", "descriptions": [texts] }] })
    );
    assert_eq!(missing.header("x-nuage-filter"), "name == 'x'");
    for path in
        ["nothing", "vports", "groups", "zones/no-uuid", "zones/1/2/3", &format!("zones/{id}/subnets")]
    {
        assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(client.post("zones", json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.post(&format!("zones/{zone}"), json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.delete("enterprises").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(start_paused = true)]
async fn each_version_and_a_trailing_slash_are_served() {
    let mut client = tree().await.client;
    for version in ["v6", "v5_0", "v4_0", "v3_2", "v3_0", "v1_0"] {
        client.version = version;
        assert_eq!(client.get("enterprises/").await.names(), ["acme"]);
    }
    client.version = "v9";
    assert_eq!(client.get("enterprises").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_release_5_sees_what_that_has_and_what_it_says_beyond_is_unknown() {
    let Tree { mut client, zone, subnet, .. } = tree().await;
    let path = format!("subnets/{subnet}");
    let new = ["enableDHCPv6", "enableDHCPv4", "embeddedMetadata"];
    let body =
        json!({ "name": "b", "address": "10.9.0.0", "netmask": "255.255.255.0", "enableDHCPv4": false });
    client.version = "v5_0";
    let made = client.post(&format!("zones/{zone}/subnets"), body).await;
    let (read, listed, me) =
        (client.get(&path).await.one(), client.get("subnets").await.json(), client.get("me").await.one());
    for shown in [&made.one(), &read, &listed[0]] {
        assert!(new.iter().all(|name| shown.get(name).is_none()), "{shown}");
        assert!(shown["gateway"].is_string() && shown["owner"].is_string(), "{shown}");
    }
    // Recorded from a VSD 5.0, though its SDK does not know it.
    assert!(me["APIKey"].is_string() && me["APIKeyExpiry"].is_u64());
    assert!(me.get("disableCertificateAuth").is_none());
    assert_eq!(client.get(&format!("{path}/vmipreservations")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get("vmipreservations/1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        client.put(&path, json!({ "enableDHCPv4": false })).await.code(),
        Some(2039),
        "nothing that it knows has changed"
    );

    client.version = "v6";
    let read = client.get(&format!("subnets/{}", made.id())).await.one();
    assert!(new.iter().all(|name| read.get(name).is_some()), "{read}");
    assert_eq!(read["enableDHCPv4"], true);
    assert!(client.get("me").await.one().get("disableCertificateAuth").is_some());
    assert_eq!(client.get(&format!("{path}/vmipreservations")).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_object_is_400_and_wrong_values_are_409_about_their_attribute() {
    let Tree { client, enterprise, domain, .. } = tree().await;
    for body in ["", "{", "null", "[]", "7"] {
        let answer = client.send(Method::POST, "enterprises", &[], Body::from(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.json()["errors"][0]["descriptions"][0]["title"].is_string());
    }
    for (body, property) in [
        (json!({ "name": 7 }), "name"),
        (json!({ "name": "x".repeat(256) }), "name"),
        (json!({ "name": "x", "floatingIPsQuota": -1 }), "floatingIPsQuota"),
        (json!({ "name": "x", "flowCollectionEnabled": "MAYBE" }), "flowCollectionEnabled"),
        (json!({ "name": "x", "allowedForwardingClasses": ["A", "Z"] }), "allowedForwardingClasses"),
        (json!({ "name": "x", "allowedForwardingClasses": [7] }), "allowedForwardingClasses"),
        (json!({ "name": "x", "customerID": u64::MAX }), "customerID"),
    ] {
        let answer = client.post("enterprises", body.clone()).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{body}");
        assert_eq!(answer.json()["errors"][0]["property"], json!(property));
    }
    client.post("enterprises", json!({ "description": "nameless" })).await.refused(5001);
    client.post(&format!("domains/{domain}/zones"), json!({ "name": "" })).await.refused(5001);
    client
        .post(&format!("enterprises/{enterprise}/domains"), json!({ "name": "no template" }))
        .await
        .refused(5001);
    let huge = Body::from(vec![b' '; 5 * 1024 * 1024]);
    assert_eq!(
        client.send(Method::POST, "enterprises", &[], huge).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_and_read_only_members_and_nulls_are_ignored_on_create() {
    let client = Client::new();
    let body = json!({ "name": "acme", "ID": "mine", "parentID": null, "enterpriseType": "CSP", "bogus": [1],
                       "creationDate": null, "floatingIPsQuota": null });
    let object = client.post("enterprises", body).await.one();
    assert_ne!(object["ID"], json!("mine"));
    assert_eq!((&object["enterpriseType"], &object["floatingIPsQuota"]), (&json!("NORMAL"), &json!(16)));
    assert_eq!(object.get("bogus"), None);
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_below_one_parent_with_the_code_of_the_entity() {
    let tree = tree().await;
    let client = &tree.client;
    client.post("enterprises", json!({ "name": "acme" })).await.refused(2510);
    client.post(&format!("domains/{}/zones", tree.domain), json!({ "name": "z" })).await.refused(2510);
    tree.subnet("s", "10.2.0.0", "255.255.255.0").await.refused(2505);
    let group = json!({ "name": "g", "type": "SOFTWARE" });
    let groups = format!("domains/{}/policygroups", tree.domain);
    client.post(&groups, group.clone()).await.id();
    client.post(&groups, group).await.refused(9501);
    let zone = client.post(&format!("domains/{}/zones", tree.domain), json!({ "name": "other" })).await.id();
    client.put(&format!("zones/{zone}"), json!({ "name": "z" })).await.refused(2510);
    let same = json!({ "name": "s", "address": "10.3.0.0", "netmask": "255.255.255.0" });
    client.post(&format!("zones/{zone}/subnets"), same).await.id();
}

#[tokio::test(start_paused = true)]
async fn lists_are_filtered_ordered_and_paged() {
    let Tree { client, domain, .. } = tree().await;
    let zones = format!("domains/{domain}/zones");
    for name in ["c", "a", "b"] {
        client.post(&zones, json!({ "name": name, "externalID": format!("{name}@cms") })).await.id();
    }
    assert_eq!(client.get(&zones).await.names(), ["a", "b", "c", "z"]);
    assert_eq!(client.get(&zones).await.header("x-nuage-orderby"), "name ASC");
    let page = |page, size| {
        let headers = [("X-Nuage-Page", page), ("X-Nuage-PageSize", size), ("X-Nuage-OrderBy", "name DESC")];
        let (client, zones) = (&client, &zones);
        async move { client.send(Method::GET, zones, &headers, Body::empty()).await }
    };
    let first = page("0", "3").await;
    assert_eq!(first.names(), ["z", "c", "b"]);
    assert_eq!((first.header("x-nuage-count"), first.header("x-nuage-page")), ("4", "0"));
    assert_eq!(page("1", "3").await.names(), ["a"]);
    let past = page("9", "3").await;
    let beyond = (past.body.len(), past.header("x-nuage-count"));
    assert_eq!(beyond, (0, "0"), "the Kubernetes monitor asks for more until the count is nought");
    assert_eq!(client.filtered(&zones, "externalID == 'b@cms'").await.names(), ["b"]);
    assert_eq!(
        client.filtered(&zones, "name != 'z' and not (name beginswith 'c')").await.names(),
        ["a", "b"]
    );
    assert_eq!(client.filtered(&zones, "@cms").await.names(), ["a", "b", "c"]);
    assert_eq!(client.filtered(&zones, "@cms").await.header("x-nuage-filtertype"), "plain");
    let id = client.filtered(&zones, "name == 'a'").await.one()["ID"].as_str().unwrap().to_owned();
    assert_eq!(client.filtered("zones", &format!("ID == '{id}'")).await.names(), ["a"]);
    assert_eq!(
        client.filtered("zones", &format!("parentID == '{domain}' and name == 'z'")).await.names(),
        ["z"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_domain_is_made_from_its_template_with_its_parts() {
    let Tree { client, enterprise, template, .. } = tree().await;
    let zone =
        client.post(&format!("domaintemplates/{template}/zonetemplates"), json!({ "name": "zt" })).await.id();
    let subnet = json!({ "name": "st", "address": "10.9.0.0", "netmask": "255.255.0.0" });
    let subnet = client.post(&format!("zonetemplates/{zone}/subnettemplates"), subnet).await.id();
    let group = json!({ "name": "gt", "type": "SOFTWARE" });
    client.post(&format!("domaintemplates/{template}/policygrouptemplates"), group).await.id();

    let domain = json!({ "name": "d2", "templateID": template, "createBackHaulSubnet": false });
    let answer = client.post(&format!("enterprises/{enterprise}/domains"), domain).await;
    let domain = answer.id();
    assert_eq!(answer.one()["tunnelType"], json!("VXLAN"));
    assert!(answer.one()["routeDistinguisher"].as_str().unwrap().starts_with("65534:"));
    assert_eq!(client.get(&format!("domains/{domain}/zones")).await.one()["templateID"], json!(zone));
    let made = client.get(&format!("domains/{domain}/subnets")).await.one();
    assert_eq!((&made["gateway"], &made["templateID"]), (&json!("10.9.0.1"), &json!(subnet)));
    assert_eq!(client.get(&format!("domains/{domain}/policygroups")).await.names(), ["gt"]);
    assert_eq!(client.get(&format!("domaintemplates/{template}/domains")).await.names(), ["d", "d2"]);

    let path = format!("domaintemplates/{template}");
    let asked = client.delete(&path).await;
    assert_eq!(asked.status, StatusCode::MULTIPLE_CHOICES);
    assert_eq!(asked.json()["choices"][0], json!({ "id": 1, "label": "OK" }));
    assert_eq!(client.put(&path, json!({ "description": "x" })).await.status, StatusCode::MULTIPLE_CHOICES);
    assert_eq!(
        client.put(&format!("{path}?responseChoice=1"), json!({ "description": "x" })).await.status,
        204
    );
    assert_eq!(client.delete(&format!("{path}??responseChoice=1&responseChoice=1")).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_cannot_be_made_whole_leaves_no_domain() {
    let Tree { client, enterprise, template, .. } = tree().await;
    let zone =
        client.post(&format!("domaintemplates/{template}/zonetemplates"), json!({ "name": "zt" })).await.id();
    for (name, address) in [("one", "10.9.0.0"), ("two", "10.9.1.0")] {
        let netmask = if name == "one" { "255.255.0.0" } else { "255.255.255.0" };
        let subnet = json!({ "name": name, "address": address, "netmask": netmask });
        client.post(&format!("zonetemplates/{zone}/subnettemplates"), subnet).await.id();
    }
    let domain = json!({ "name": "d2", "templateID": template });
    client.post(&format!("enterprises/{enterprise}/domains"), domain).await.refused(2504);
    assert_eq!(client.get("domains").await.names(), ["d"]);
    assert_eq!(client.get("zones").await.names(), ["z"]);
}

#[tokio::test(start_paused = true)]
async fn subnets_fill_their_gateway_and_refuse_overlaps_and_nonsense() {
    let tree = tree().await;
    let made = tree.client.get(&format!("subnets/{}", tree.subnet)).await.one();
    assert_eq!(made["gateway"], json!("10.1.0.1"));
    assert_eq!((&made["parentType"], &made["resourceType"]), (&json!("zone"), &json!("STANDARD")));
    assert!(made["gatewayMACAddress"].as_str().unwrap().starts_with("68:54:ED:00:"));
    for (address, netmask) in
        [("10.1.0.0", "255.255.255.248"), ("10.1.0.4", "255.255.255.252"), ("10.0.0.0", "255.0.0.0")]
    {
        tree.subnet("over", address, netmask).await.refused(2504);
    }
    for (address, netmask) in [
        ("10.5.0.1", "255.255.255.0"),
        ("10.5.0.0", "255.0.255.0"),
        ("x", "255.255.255.0"),
        ("10.5.0.0", "255.255.255.254"),
    ] {
        assert_eq!(
            tree.subnet("bad", address, netmask).await.status,
            StatusCode::CONFLICT,
            "{address}/{netmask}"
        );
    }
    tree.subnet("next", "10.1.0.8", "255.255.255.248").await.id();
}

#[tokio::test(start_paused = true)]
async fn a_container_gets_a_vport_and_the_lowest_free_address_in_order() {
    let tree = tree().await;
    let client = &tree.client;
    let first = tree.container("a", None).await;
    let object = first.one();
    let interface = &object["interfaces"][0];
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!((&interface["IPAddress"], &interface["gateway"]), (&json!("10.1.0.2"), &json!("10.1.0.1")));
    assert_eq!((&interface["netmask"], &interface["VPortName"]), (&json!("255.255.255.248"), &json!("nua")));
    assert_eq!((&object["subnetIDs"], &object["enterpriseName"]), (&json!([tree.subnet]), &json!("acme")));
    assert_eq!(object["domainIDs"], json!([tree.domain]));
    let port = client.get(&format!("vports/{}", interface["VPortID"].as_str().unwrap())).await.one();
    assert_eq!((&port["type"], &port["hasAttachedInterfaces"]), (&json!("CONTAINER"), &json!(true)));
    assert_eq!((&port["domainID"], &port["zoneID"]), (&json!(tree.domain), &json!(tree.zone)));

    assert_eq!(address(&tree.container("b", None).await), "10.1.0.3");
    assert_eq!(address(&tree.container("c", Some("10.1.0.5")).await), "10.1.0.5");
    assert_eq!(address(&tree.container("d", None).await), "10.1.0.4");
    for path in ["enterprises", "domains", "zones", "subnets"] {
        let id = match path {
            "enterprises" => &tree.enterprise,
            "domains" => &tree.domain,
            "zones" => &tree.zone,
            _ => &tree.subnet,
        };
        assert_eq!(
            client.get(&format!("{path}/{id}/containers")).await.names(),
            ["a", "b", "c", "d"],
            "{path}"
        );
    }
    assert_eq!(
        client.get(&format!("subnets/{}/containerinterfaces", tree.subnet)).await.header("x-nuage-count"),
        "4"
    );
    assert_eq!(client.get(&format!("domains/{}/vports", tree.domain)).await.header("x-nuage-count"), "4");
}

#[tokio::test(start_paused = true)]
async fn addresses_run_out_with_2702_are_refused_with_2704_and_come_back_when_freed() {
    let tree = tree().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ids.push(tree.container(name, None).await.id());
    }
    tree.container("f", None).await.refused(2702);
    tree.container("f", Some("10.1.0.3")).await.refused(2704);
    tree.container("f", Some("10.1.0.1")).await.refused(2704);
    assert_eq!(tree.container("f", Some("10.2.0.1")).await.status, StatusCode::CONFLICT);
    let vports = tree.client.get(&format!("subnets/{}/vports", tree.subnet)).await;
    assert_eq!(vports.header("x-nuage-count"), "5", "what was refused left no vPort");
    assert_eq!(tree.client.delete(&format!("containers/{}", ids[1])).await.status, StatusCode::NO_CONTENT);
    let vports = tree.client.get(&format!("subnets/{}/vports", tree.subnet)).await;
    assert_eq!(vports.header("x-nuage-count"), "4", "the vPort went with its interface");
    assert_eq!(address(&tree.container("f", None).await), "10.1.0.3");
    tree.container("a", None).await.refused(2748);
}

#[tokio::test(start_paused = true)]
async fn an_interface_joins_a_container_later_and_leaves_alone_a_vport_it_did_not_make() {
    let tree = tree().await;
    let client = &tree.client;
    let container = tree.container("a", None).await.id();
    let port = json!({ "name": "p", "type": "CONTAINER" });
    let port = client.post(&format!("subnets/{}/vports", tree.subnet), port).await;
    assert_eq!(port.one()["addressSpoofing"], json!("INHERITED"));
    let port = port.id();
    let interfaces = format!("containers/{container}/containerinterfaces");
    let interface = client.post(&interfaces, json!({ "VPortID": port, "name": "second" })).await;
    assert_eq!(interface.one()["IPAddress"], json!("10.1.0.3"));
    client.post(&interfaces, json!({ "VPortID": port })).await.refused(7006);
    client.delete(&format!("vports/{port}")).await.refused(2506);
    assert_eq!(client.delete(&format!("containerinterfaces/{}", interface.id())).await.status, 204);
    let left = client.get(&format!("vports/{port}")).await.one();
    assert_eq!(left["hasAttachedInterfaces"], json!(false));
    assert_eq!(
        client.get(&format!("containers/{container}")).await.one()["interfaces"].as_array().unwrap().len(),
        1
    );
    assert_eq!(client.delete(&format!("vports/{port}")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn what_containers_are_attached_to_is_not_deleted_and_what_has_children_only_after_a_question() {
    let tree = tree().await;
    let client = &tree.client;
    let container = tree.container("a", None).await.id();
    let paths = [
        format!("subnets/{}", tree.subnet),
        format!("zones/{}", tree.zone),
        format!("domains/{}", tree.domain),
        format!("enterprises/{}", tree.enterprise),
    ];
    for path in &paths {
        client.delete(&format!("{path}?responseChoice=1")).await.refused(2506);
    }
    assert_eq!(client.delete(&format!("containers/{container}?responseChoice=1")).await.status, 204);
    let asked = client.delete(&paths[2]).await;
    assert_eq!(asked.status, StatusCode::MULTIPLE_CHOICES);
    assert_eq!(client.delete(&format!("{}?responseChoice=1", paths[2])).await.status, StatusCode::NO_CONTENT);
    for path in &paths[..3] {
        assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    client.delete("enterprises/76046673-d0ea-4a67-b6af-2829952f0812?responseChoice=1").await.refused(2010);
    client.delete("users/8a6f0e20-a4db-4878-ad84-9cc61756cd5e").await.refused(2013);
}

#[tokio::test(start_paused = true)]
async fn policy_group_members_are_replaced_extended_and_reduced_within_one_domain() {
    let tree = tree().await;
    let client = &tree.client;
    let group = json!({ "name": "g", "type": "SOFTWARE" });
    let group = client.post(&format!("domains/{}/policygroups", tree.domain), group).await.id();
    let mut ports = Vec::new();
    for name in ["a", "b", "c"] {
        let port = json!({ "name": name, "type": "CONTAINER" });
        ports.push(client.post(&format!("subnets/{}/vports", tree.subnet), port).await.id());
    }
    let members = format!("policygroups/{group}/vports");
    assert_eq!(
        client.put(&format!("{members}?responseChoice=1"), json!([ports[0], ports[1]])).await.status,
        204
    );
    assert_eq!(client.get(&members).await.names(), ["a", "b"]);
    let patch = |kind: &'static str, id: &str| {
        let body = Body::from(json!([id]).to_string());
        let (client, members) = (client, &members);
        async move { client.send(Method::PATCH, members, &[("X-Nuage-PatchType", kind)], body).await.status }
    };
    assert_eq!(patch("add", &ports[2]).await, StatusCode::NO_CONTENT);
    assert_eq!(patch("remove", &ports[0]).await, StatusCode::NO_CONTENT);
    assert_eq!(patch("both", &ports[0]).await, StatusCode::BAD_REQUEST);
    assert_eq!(client.get(&members).await.names(), ["b", "c"]);
    assert_eq!(client.get(&format!("vports/{}/policygroups", ports[2])).await.names(), ["g"]);
    client.delete(&format!("policygroups/{group}")).await.refused(7097);
    assert_eq!(client.put(&members, json!([])).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get(&members).await.body.len(), 0);

    let domain = json!({ "name": "elsewhere", "templateID": tree.template });
    let domain = client.post(&format!("enterprises/{}/domains", tree.enterprise), domain).await.id();
    let other = client
        .post(&format!("domains/{domain}/policygroups"), json!({ "name": "g", "type": "SOFTWARE" }))
        .await;
    client.put(&format!("policygroups/{}/vports", other.id()), json!([ports[0]])).await.refused(7309);
    assert_eq!(client.delete(&format!("policygroups/{group}")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn a_users_password_is_a_secret_that_logs_in_and_can_be_changed() {
    let mut client = Client::new();
    let user =
        json!({ "userName": "ann", "password": "first", "firstName": "A", "lastName": "N", "email": "a@x" });
    let made = client.post("users", user).await;
    assert_eq!(made.one()["password"], Value::Null);
    let ann = made.id();
    client.headers = secret("XREST", "ann", "first");
    assert_eq!(client.get("me").await.one()["role"], json!("USER"));
    assert_eq!(client.put("me", json!({ "password": "second" })).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("me").await.status, StatusCode::UNAUTHORIZED);
    client.headers = secret("XREST", "ann", "second");
    assert_eq!(client.put("me", json!({ "disabled": true })).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("me").await.status, StatusCode::UNAUTHORIZED);
    client.headers = secret("XREST", "csproot", "csproot");
    assert_eq!(client.delete(&format!("users/{ann}")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn the_bootstrap_makes_a_site_once_and_the_same_identifiers_for_the_same_seed() {
    let ids = || {
        let client = Client::new();
        let site = Site {
            enterprise: "K8S-Enterprise".to_owned(),
            domain: "K8S-Domain".to_owned(),
            zone: "default".to_owned(),
            subnet: "default-0".to_owned(),
            address: "10.20.0.0/24".parse().unwrap(),
        };
        client.vsd.bootstrap(&site).unwrap();
        let before = client.vsd.snapshot("subnet");
        client.vsd.bootstrap(&site).unwrap();
        assert_eq!(client.vsd.snapshot("subnet"), before);
        assert_eq!(before.len(), 1);
        let wider = Site { subnet: "other".to_owned(), address: "10.0.0.0/8".parse().unwrap(), ..site };
        assert_eq!(client.vsd.bootstrap(&wider).unwrap_err().code, Some(2504));
        before[0]["ID"].clone()
    };
    assert_eq!(ids(), ids());
}

#[tokio::test(start_paused = true)]
async fn the_api_describes_itself_to_anybody() {
    let client = Client::new();
    let request = Request::get("https://vsd/nuage/api/openapi.json").body(Body::empty()).unwrap();
    let response = client.vsd.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["paths"]["/subnets/{id}/vports"]["post"]["operationId"], "createVPortBelowSubnet");
}
