//! Promises of names and labels. The peers of a placement are tested where they exist: with the emulators.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::labels::{Choices, from_mesos, from_network, of_pod};
use super::*;
use crate::config::{Choice, VspConfig};
use crate::protocol::{NetworkConfig, NuagePlacement, Request, parse};

fn request(id: &str, ifname: &str, args: &str) -> Request {
    let environment: BTreeMap<String, String> =
        [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", id), ("CNI_IFNAME", ifname), ("CNI_ARGS", args)]
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
    parse(&environment, br#"{"cniVersion":"1.0.0","name":"n"}"#).unwrap()
}

const SANDBOX: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";

#[test]
fn a_port_is_named_as_the_original_named_it() {
    let kubernetes = identity(Orchestrator::Kubernetes, &request(SANDBOX, "eth0", "")).unwrap();
    assert_eq!(kubernetes.port_name, "nu7db556744f4c7");
    assert_eq!(kubernetes.entity_uuid, SANDBOX);
    let mesos =
        identity(Orchestrator::Mesos, &request("0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5", "eth0", "")).unwrap();
    assert_eq!(mesos.port_name, "nu4ab235ceeaf2d");
    assert_eq!(mesos.entity_uuid, "0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5".repeat(2));
}

#[test]
fn two_interfaces_of_a_sandbox_have_two_ports_and_one_entity() {
    let name = |ifname| identity(Orchestrator::Kubernetes, &request(SANDBOX, ifname, "")).unwrap();
    assert_ne!(name("eth0").port_name, name("net1").port_name);
    assert_ne!(name("net2").port_name, name("net1").port_name);
    assert_eq!(name("eth0").entity_uuid, name("net1").entity_uuid);
}

#[test]
fn the_arguments_name_the_pod_and_the_entity_whatever_their_order() {
    let args = "K8S_POD_UID=u-1;K8S_POD_INFRA_CONTAINER_ID=infra;K8S_POD_NAME=web-0;IgnoreUnknown=1;K8S_POD_NAMESPACE=shop";
    let found = identity(Orchestrator::Kubernetes, &request(SANDBOX, "eth0", args)).unwrap();
    assert_eq!((found.entity_uuid.as_str(), found.entity_name.as_str()), ("infra", "web-0"));
    let pod = found.pod.unwrap();
    assert_eq!((pod.namespace.as_str(), pod.uid.as_deref()), ("shop", Some("u-1")));
}

#[test]
fn a_pod_whose_name_could_leave_its_url_is_refused() {
    for name in ["../../secrets", "a/b", "a?b", "A", "-a", "a%2f"] {
        let args = format!("K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name}");
        let error = identity(Orchestrator::Kubernetes, &request(SANDBOX, "eth0", &args)).unwrap_err();
        assert_eq!(error.code(), 4, "{name}");
    }
}

fn vsp(choices: &[Choice]) -> VspConfig {
    VspConfig::for_tests(Path::new("/d"), choices)
}

#[test]
fn a_pod_chooses_what_it_may_and_nothing_else() {
    let metadata = json!({
        "labels": {"nuage.io/zone": "z", "nuage.io/static-ip": "10.0.0.1"},
        "annotations": {"nuage.io/zone": "annotated"}
    });
    let chosen = of_pod(&metadata, &vsp(&[Choice::Zone])).unwrap();
    assert_eq!(chosen, Choices { zone: Some("annotated".into()), ..Choices::default() });
    let chosen = of_pod(&metadata, &vsp(&[Choice::StaticIp])).unwrap();
    assert_eq!(chosen.static_ip, Some("10.0.0.1".parse().unwrap()));
    let wrong = json!({"labels": {"nuage.io/static-ip": "here"}});
    assert_eq!(of_pod(&wrong, &vsp(&[Choice::StaticIp])).unwrap_err().code(), 7);
}

#[test]
fn a_framework_without_its_labels_is_told_which_are_missing() {
    let mut network = NetworkConfig::default();
    network.mesos_labels.insert("zone".into(), "z".into());
    let error = from_mesos(&network).unwrap_err();
    assert!(error.details().contains("enterprise, domain, network, user"), "{}", error.details());
}

#[test]
fn a_mac_address_that_is_chosen_is_one_that_an_interface_can_have() {
    let chosen = |mac: &str| of_pod(&json!({"annotations": {"nuage.io/mac": mac}}), &vsp(&[Choice::Mac]));
    assert_eq!(chosen("02:00:00:AB:cd:01").unwrap().mac.as_deref(), Some("02:00:00:ab:cd:01"));
    for wrong in
        ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00:00:00:00", "x", "02-00"]
    {
        assert_eq!(chosen(wrong).unwrap_err().code(), 7, "{wrong}");
    }
}

#[test]
fn what_a_caller_without_pods_asks_for_counts_before_its_network() {
    let nuage = NuagePlacement {
        zone: Some("z".into()),
        network: Some("n".into()),
        static_ip: Some("10.0.0.1".into()),
        ..NuagePlacement::default()
    };
    let place = |args: &[(&str, &str)]| {
        let args = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        from_network(&nuage, &vsp(&[]), &args)
    };
    let plain = place(&[("IP", ""), ("K8S_POD_NAME", "web")]).unwrap();
    assert_eq!((plain.static_ip, plain.mac), (Some("10.0.0.1".parse().unwrap()), None));
    let asked = place(&[("IP", "10.0.0.7"), ("MAC", "02:00:00:00:00:0A")]).unwrap();
    assert_eq!(asked.static_ip, Some("10.0.0.7".parse().unwrap()));
    assert_eq!(asked.mac.as_deref(), Some("02:00:00:00:00:0a"));
    for wrong in [("IP", "10.0.0.7/24"), ("IP", "here"), ("MAC", "01:00:5e:00:00:01")] {
        let error = place(&[wrong]).unwrap_err();
        assert!(error.code() == 7 && error.to_string().contains("CNI_ARGS"), "{wrong:?}: {error}");
    }
}
