//! Promises of the protocol: what is refused and how, and the exact shape of every version's answers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const ADD: &[(&str, &str)] = &[
    ("CNI_COMMAND", "ADD"),
    ("CNI_CONTAINERID", "abc"),
    ("CNI_NETNS", "/var/run/netns/x"),
    ("CNI_IFNAME", "eth0"),
];
const NETWORK: &[u8] = br#"{"cniVersion":"1.0.0","name":"nuage","type":"nuage-cni-k8s"}"#;

fn code(result: Result<Request, Error>) -> u32 {
    result.expect_err("refused").code()
}

#[test]
fn everything_that_is_wrong_with_the_environment_is_told_at_once() {
    let error =
        parse(&environment(&[("CNI_COMMAND", "ADD"), ("CNI_IFNAME", "a/b"), ("CNI_ARGS", "x")]), NETWORK);
    let error = error.unwrap_err();
    assert_eq!(error.code(), 4);
    let text = error.to_string();
    for name in ["CNI_CONTAINERID is missing", "CNI_IFNAME may not", "CNI_NETNS is missing", "CNI_ARGS has"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn del_needs_no_namespace_and_gc_and_status_need_no_container() {
    let del = environment(&[
        ("CNI_COMMAND", "DEL"),
        ("CNI_CONTAINERID", "abc"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_NETNS", ""),
    ]);
    assert_eq!(parse(&del, NETWORK).unwrap().netns, None);
    parse(&environment(&[("CNI_COMMAND", "STATUS")]), NETWORK).unwrap();
    let gc = br#"{"cniVersion":"1.1.0","name":"nuage","cni.dev/valid-attachments":[]}"#;
    parse(&environment(&[("CNI_COMMAND", "GC")]), gc).unwrap();
}

/// libcni asks VERSION with "dummy" everywhere: podman takes a plugin that refuses it for none at all.
#[test]
fn what_a_verb_has_no_use_for_may_be_anything_and_is_not_kept() {
    for (verb, network) in
        [("VERSION", r#"{"cniVersion":"1.0.0"}"#), ("STATUS", r#"{"cniVersion":"1.1.0","name":"n"}"#)]
    {
        let mut variables = environment(&[("CNI_COMMAND", verb)]);
        for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
            variables.insert(name.into(), "../du mmy".into());
        }
        let request = parse(&variables, network.as_bytes()).unwrap();
        assert_eq!(
            (request.container_id.as_str(), request.netns, request.ifname.as_str()),
            ("", None, ""),
            "{verb}"
        );
    }
}

#[test]
fn names_that_could_lead_elsewhere_are_refused() {
    for bad in ["", "../x", "-x", "a/b", "a b", &"x".repeat(256)] {
        let mut variables = environment(ADD);
        variables.insert("CNI_CONTAINERID".into(), bad.into());
        assert_eq!(code(parse(&variables, NETWORK)), 4, "{bad}");
    }
    for bad in ["..", "a:b", "sixteen-bytes-xx", "a\u{7}"] {
        let mut variables = environment(ADD);
        variables.insert("CNI_IFNAME".into(), bad.into());
        assert_eq!(code(parse(&variables, NETWORK)), 4, "{bad}");
    }
    let network = br#"{"cniVersion":"1.0.0","name":"../x"}"#;
    assert_eq!(code(parse(&environment(ADD), network)), 7);
}

#[test]
fn a_configuration_that_cannot_be_honoured_is_refused_with_its_code() {
    let cases: &[(&str, u32)] = &[
        ("{", 6),
        ("[]", 6),
        (r#"{"cniVersion":"9.0.0","name":"n"}"#, 1),
        (r#"{"cniVersion":5,"name":"n"}"#, 7),
        (r#"{"cniVersion":"1.0.0"}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","mtu":5}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","configDir":"x"}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","nuage":{"zoen":"x"}}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","ipam":{"type":"host-local"}}"#, 2),
        (r#"{"cniVersion":"1.0.0","name":"n","prevResult":[]}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","prevResult":{"ips":[{"address":"x"}]}}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","prevResult":{"interfaces":[{}]}}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","ipFamilies":["IPv6"]}"#, 2),
        (r#"{"cniVersion":"1.0.0","name":"n","ipFamilies":["IPv5"]}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"portMappings":[{"hostPort":80}]}}"#, 2),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"ips":["10.0.0.2/24","10.0.0.3/24"]}}"#, 2),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"ips":["fd00::2/64"]}}"#, 2),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"mac":"02:00:00:00:00"}}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"mac":"03:00:00:00:00:01"}}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"mtu":5}}"#, 7),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"bandwidth":{"ingressRate":1}}}"#, 2),
        (r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"ips":["x"]}}"#, 7),
    ];
    for (network, expected) in cases {
        assert_eq!(code(parse(&environment(ADD), network.as_bytes())), *expected, "{network}");
    }
}

#[test]
fn capabilities_that_ask_for_nothing_are_no_reason_to_refuse() {
    let network =
        br#"{"cniVersion":"1.0.0","name":"n","mtu":1400,"ipFamilies":["IPv4","IPv6"],"runtimeConfig":{
        "bandwidth":{"ingressRate":0,"egressRate":0},"portMappings":[],"aliases":["a"],
        "ips":["10.0.0.2"],"mac":"02:00:00:00:00:0A","mtu":1300}}"#;
    let network = parse(&environment(ADD), network).unwrap().network;
    assert_eq!(network.ips, ["10.0.0.2/32".parse().unwrap()]);
    assert_eq!(
        (network.mac.as_deref(), network.mtu, network.needs_ipv6),
        (Some("02:00:00:00:00:0a"), Some(1300), true)
    );
}

#[test]
fn what_only_an_add_acts_on_keeps_no_del_from_its_work() {
    let network = br#"{"cniVersion":"1.0.0","name":"n","ipam":{"type":"x"},"nuage":5,"mtu":1,"prevResult":7,
        "runtimeConfig":{"bandwidth":{"ingressRate":1},"ips":["x"],"mac":"x"},"ipFamilies":[5]}"#;
    let mut variables = environment(ADD);
    assert_ne!(code(parse(&variables, network)), 0);
    variables.insert("CNI_COMMAND".into(), "DEL".into());
    parse(&variables, network).unwrap();
}

#[test]
fn a_gc_that_does_not_say_what_is_valid_is_refused() {
    let gc = environment(&[("CNI_COMMAND", "GC")]);
    assert_eq!(code(parse(&gc, NETWORK)), 7);
    for (list, expected) in [("null", 0), ("[]", 0), (r#"[{"containerID":"c","ifname":"eth0"}]"#, 1)] {
        let network = format!(r#"{{"cniVersion":"1.1.0","name":"n","cni.dev/valid-attachments":{list}}}"#);
        let request = parse(&gc, network.as_bytes()).unwrap();
        assert_eq!(request.network.valid_attachments.len(), expected, "{list}");
    }
}

#[test]
fn what_was_made_before_stands_first_in_the_result_and_its_indices_stay_right() {
    let before = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "lo0", "sandbox": "/var/run/netns/x"}],
        "ips": [{"address": "127.0.0.2/8", "interface": 0}], "routes": [], "dns": {"nameservers": ["10.1.1.1"]}});
    let previous = Previous::read(&before).unwrap();
    assert_eq!(previous.addresses("lo0"), ["127.0.0.2/8".parse().unwrap()]);
    let result = result(&Attachment { previous: Some(previous), ..attachment() }, "1.0.0");
    assert_eq!(result["interfaces"][0], before["interfaces"][0]);
    assert_eq!(result["interfaces"][2]["name"], "eth0");
    assert_eq!(result["ips"][0], before["ips"][0]);
    assert_eq!(result["ips"][1]["interface"], 2);
    assert_eq!(result["dns"], before["dns"]);
}

#[test]
fn a_result_of_two_families_has_both_in_every_shape() {
    let mut dual = attachment();
    let gateway = "fd00::1".parse().unwrap();
    dual.ips.push(("fd00::2/64".parse().unwrap(), Some(gateway)));
    dual.routes.push(Route { destination: "::/0".parse().unwrap(), gateway: Some(gateway) });
    let old = result(&dual, "0.2.0");
    assert_eq!(
        old["ip6"],
        json!({"ip": "fd00::2/64", "gateway": "fd00::1", "routes": [{"dst": "::/0", "gw": "fd00::1"}]})
    );
    assert_eq!(old["ip4"]["ip"], "10.20.0.5/24");
    for (version, family) in [("0.4.0", json!("6")), ("1.1.0", Value::Null)] {
        let new = result(&dual, version);
        assert_eq!((&new["ips"][1]["address"], &new["ips"][1]["version"]), (&json!("fd00::2/64"), &family));
        assert_eq!(new["routes"][1], json!({"dst": "::/0", "gw": "fd00::1"}));
    }
}

#[test]
fn arguments_come_in_any_order_and_values_may_contain_equals_signs() {
    let mut variables = environment(ADD);
    variables.insert("CNI_ARGS".into(), "K8S_POD_UID=u;IgnoreUnknown=1;X=a=b".into());
    let request = parse(&variables, NETWORK).unwrap();
    assert_eq!((request.args["K8S_POD_UID"].as_str(), request.args["X"].as_str()), ("u", "a=b"));
}

#[test]
fn version_answers_any_version_and_an_empty_input() {
    let request = parse(&environment(&[("CNI_COMMAND", "VERSION")]), b"").unwrap();
    assert_eq!(versions(&request.network.version)["cniVersion"], "1.1.0");
    let asked = parse(&environment(&[("CNI_COMMAND", "VERSION")]), br#"{"cniVersion":"9.9.9"}"#).unwrap();
    let answer = versions(&asked.network.version);
    assert_eq!(
        (answer["cniVersion"].as_str(), answer["supportedVersions"].as_array().unwrap().len()),
        (Some("9.9.9"), 7)
    );
}

fn attachment() -> Attachment {
    let gateway = "10.20.0.1".parse().unwrap();
    Attachment {
        host_name: "nu0123456789abc".into(),
        host_mac: None,
        pod_name: "eth0".into(),
        pod_mac: "02:00:00:00:00:01".into(),
        netns: "/var/run/netns/x".into(),
        mtu: 1450,
        ips: vec![("10.20.0.5/24".parse().unwrap(), Some(gateway))],
        routes: vec![
            Route { destination: "10.20.0.1/32".parse().unwrap(), gateway: None },
            Route { destination: "0.0.0.0/0".parse().unwrap(), gateway: Some(gateway) },
        ],
        previous: None,
    }
}

#[test]
fn each_version_gets_the_result_of_its_own_shape() {
    let old = json!({"cniVersion": "0.2.0", "dns": {}, "ip4": {
        "ip": "10.20.0.5/24", "gateway": "10.20.0.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.20.0.1"}]}});
    assert_eq!(result(&attachment(), "0.2.0"), old);
    let expected = |version: &str, ip_version: Value, mtu: Value| {
        let mut expected = json!({
            "cniVersion": version,
            "interfaces": [{"name": "nu0123456789abc"}, {"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/var/run/netns/x"}],
            "ips": [{"address": "10.20.0.5/24", "gateway": "10.20.0.1", "interface": 1}],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.20.0.1"}],
            "dns": {}
        });
        if !ip_version.is_null() {
            expected["ips"][0]["version"] = ip_version;
        }
        if !mtu.is_null() {
            expected["interfaces"][0]["mtu"] = mtu.clone();
            expected["interfaces"][1]["mtu"] = mtu;
        }
        expected
    };
    for version in ["0.3.0", "0.3.1", "0.4.0"] {
        assert_eq!(result(&attachment(), version), expected(version, json!("4"), Value::Null));
    }
    assert_eq!(result(&attachment(), "1.0.0"), expected("1.0.0", Value::Null, Value::Null));
    assert_eq!(result(&attachment(), "1.1.0"), expected("1.1.0", Value::Null, json!(1450)));
}

proptest! {
    #[test]
    fn no_input_makes_the_parser_panic(
        variables in prop::collection::btree_map("CNI_(COMMAND|CONTAINERID|IFNAME|NETNS|ARGS)", "(ADD|DEL|GC|\\PC{0,20})", 0..6),
        stdin in "\\PC{0,60}",
    ) {
        if let Err(error) = parse(&variables, stdin.as_bytes()) {
            let object = error.to_json("1.0.0");
            prop_assert!(object["code"].as_u64().is_some_and(|code| code > 0));
        }
    }

    #[test]
    fn no_network_configuration_makes_the_parser_panic(
        key in "(cniVersion|name|configDir|nuage|prevResult|mtu|runtimeConfig|args|ipam|ipFamilies|cni.dev/valid-attachments)",
        value in prop_oneof![Just("null"), Just("5"), Just("\"x\""), Just("[]"), Just("[{}]"), Just("{\"a\":[1]}"), Just("{\"ips\":7}")],
        command in "(ADD|DEL|CHECK|GC|STATUS|VERSION)",
    ) {
        let text = format!("{{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"{key}\":{value}}}");
        let mut variables = environment(ADD);
        variables.insert("CNI_COMMAND".into(), command);
        let _ = parse(&variables, text.as_bytes());
    }
}
