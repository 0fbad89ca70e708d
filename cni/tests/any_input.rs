//! Whatever a caller hands over, one valid answer comes back: exactly one JSON text or nothing, never a panic, and a code that
//! the specification or this plugin knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use std::collections::BTreeMap;

use doubles::process::Process;
use doubles::{Node, Outcome, answer};
use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, invoke};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Calls the plugin on a node where everything is well.
fn call(orchestrator: Orchestrator, environment: BTreeMap<String, String>, stdin: Vec<u8>) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let node = Node::new();
        node.environment("ADD", &doubles::Sandbox::new("s1", "web-0"));
        let host = node.host(&Process::sound());
        invoke(&host, Invocation { orchestrator, environment, stdin }).await
    })
}

fn commands() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => prop::sample::select(vec!["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ]
}

fn arguments() -> impl Strategy<Value = String> {
    let pair = prop_oneof![
        Just("K8S_POD_NAMESPACE=shop".to_owned()),
        Just("K8S_POD_NAME=web-0".to_owned()),
        Just("K8S_POD_UID=".to_owned()),
        Just(format!("K8S_POD_UID={}", doubles::seams::POD_UID)),
        Just("K8S_POD_INFRA_CONTAINER_ID=s1".to_owned()),
        "(IgnoreUnknown|K8S_POD_NAME|IP|MAC|X)=\\PC{0,12}",
        "\\PC{0,12}",
    ];
    prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join(";"))
}

fn environments() -> impl Strategy<Value = BTreeMap<String, String>> {
    let id = prop_oneof![3 => Just("s1".to_owned()), 1 => "\\PC{0,12}"];
    let netns = prop_oneof![3 => Just("/var/run/netns/s1".to_owned()), 1 => "(/\\PC{0,12}|\\PC{0,12})"];
    let ifname = prop_oneof![3 => Just("eth0".to_owned()), 1 => "\\PC{0,17}"];
    let some = |strategy: BoxedStrategy<String>| prop::option::weighted(0.9, strategy);
    let all = (
        some(commands().boxed()),
        some(id.boxed()),
        some(netns.boxed()),
        some(ifname.boxed()),
        some(arguments().boxed()),
    );
    all.prop_map(|(command, id, netns, ifname, arguments)| {
        let names = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"];
        let values = [command, id, netns, ifname, arguments];
        let given = names.into_iter().zip(values).filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    })
}

/// Any JSON, of the kinds that stand in a network configuration.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("10.20.0.5/24")),
        Just(json!("fd00::5/64")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            prop::sample::select(vec![
                "cniVersion",
                "interfaces",
                "ips",
                "address",
                "interface",
                "name",
                "sandbox",
                "mac",
                "ip4",
                "ip",
                "routes",
                "dst",
                "gw",
                "labels",
                "key",
                "value",
                "org.apache.mesos",
                "network_info",
                "containerID",
                "ifname",
                "type",
                "bandwidth",
                "zone",
                "network",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,6}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn previous_results() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => values(),
        1 => prop::sample::select(vec!["0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]).prop_map(|version| json!({
            "cniVersion": version,
            "interfaces": [{"name": "nu7", "mac": "02:00:00:00:00:01"}, {"name": "eth0", "sandbox": "/var/run/netns/s1"}],
            "ips": [{"address": "10.20.0.5/24", "interface": 1, "version": "4"}],
            "ip4": {"ip": "10.20.0.5/24"}, "routes": [{"dst": "0.0.0.0/0"}]
        })),
    ]
}

fn configurations() -> impl Strategy<Value = Vec<u8>> {
    let version =
        prop::sample::select(vec!["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", "9.9.9", ""]);
    let field = prop::sample::select(vec![
        "cniVersion",
        "name",
        "configDir",
        "nuage",
        "prevResult",
        "mtu",
        "runtimeConfig",
        "args",
        "ipam",
        "capabilities",
        "cni.dev/valid-attachments",
        "ipFamilies",
        "type",
        "dns",
    ]);
    let odd = prop::option::weighted(0.5, (field, values()));
    let previous = prop::option::weighted(0.4, previous_results());
    let object = (version, previous, odd).prop_map(|(version, previous, odd)| {
        let mut network =
            json!({"cniVersion": version, "name": "net", "type": "nuage-cni-k8s", "configDir": "/config"});
        if let Some(previous) = previous {
            network["prevResult"] = previous;
        }
        if let Some((key, value)) = odd {
            network[key] = value;
        }
        network.to_string().into_bytes()
    });
    prop_oneof![
        6 => object,
        1 => values().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_one_valid_answer_goes_out(
        orchestrator in prop::sample::select(vec![Orchestrator::Kubernetes, Orchestrator::OpenShift, Orchestrator::Mesos]),
        environment in environments(),
        stdin in configurations(),
    ) {
        let command = environment.get("CNI_COMMAND").cloned().unwrap_or_default();
        let outcome = call(orchestrator, environment, stdin);
        prop_assert_eq!(answer::problem(&command, &outcome), None);
    }
}

#[test]
fn an_unsupported_field_is_named_with_its_value() {
    let environment = Node::new().environment("ADD", &doubles::Sandbox::new("s1", "web-0"));
    let network =
        json!({"cniVersion": "1.0.0", "name": "net", "configDir": "/config", "ipam": {"type": "host-local"}});
    let outcome = call(Orchestrator::Kubernetes, environment, network.to_string().into_bytes());
    let error: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(error["code"], 2);
    let message = error["msg"].as_str().unwrap();
    assert!(message.contains("ipam.type") && message.contains("host-local"), "{message}");
}
