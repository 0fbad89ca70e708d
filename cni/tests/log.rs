//! What calls say about themselves: enough to follow each of them, and never a secret.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use doubles::process::Process;
use doubles::seams::held;
use doubles::{Node, Sandbox, code};
use serde_json::json;

const TOKEN: &str = "dG9rZW4tb2YtdGhlLXBsdWdpbg";
const KEY: &str = "a2V5LW9mLXRoZS1wbHVnaW4";
const PASSWORD: &str = "cGFzc3dvcmQtb2YtYW5vdGhlcg";

/// A node whose files and whose calls carry secrets, and which says all that it can say.
fn talkative() -> Node {
    let node = Node::new();
    let yaml = "vrsendpoint: unix:/vrs\nstatedir: /state\nrundir: /run\nlogdir: /log\nloglevel: debug\nlogfilesise: 1\n";
    node.write("/config/nuage-cni.yaml", yaml);
    let site = format!(
        "enterpriseName: E\ndomainName: D\nvsdUser: u\nnuageMonRestServer: https://monitor:9443\n\
         nuageMonClientCert: '-----BEGIN'\nnuageMonClientKey: '-----BEGIN {KEY}'\nnuageMonServerCA: '-----BEGIN'\n"
    );
    node.write("/config/vsp-k8s.yaml", &site);
    let kubeconfig = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://api:6443', certificate-authority-data: LS0=}}}}]\n\
         users: [{{name: u, user: {{token: {TOKEN}}}}}]\n"
    );
    node.write("/config/nuage.kubeconfig", &kubeconfig);
    node
}

async fn call(node: &Node, command: &str, sandbox: &Sandbox) -> doubles::Outcome {
    let environment = node.environment(command, sandbox);
    let extra = json!({"password": PASSWORD, "args": {"cni": {"secret": PASSWORD}}});
    node.invoke(&Process::sound(), environment, extra).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_line_of_a_call_has_its_one_id_and_says_whose_it_is() {
    let (node, web) = (talkative(), Sandbox::new("s1", "web-0"));
    for (calls, command) in ["ADD", "CHECK", "DEL"].into_iter().enumerate() {
        assert_eq!(code(&call(&node, command, &web).await), 0, "{command}");
        let lines = held(&node.log.log).clone();
        let id = |line: &String| line.split(" call=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let ids: std::collections::BTreeSet<String> = lines.iter().map(id).collect();
        assert_eq!(ids.len(), calls + 1, "{lines:#?}");
        let last = lines.last().unwrap();
        assert!(last.contains(&format!(" {command} done call=")), "{last}");
        assert!(
            last.contains("sandbox=s1 interface=eth0 port=nu") && last.contains("pod=shop/web-0"),
            "{last}"
        );
    }
    let lines = held(&node.log.log).clone();
    assert!(
        lines.iter().any(|line| line.contains("WARN  ADD odd configuration") && line.contains("logfilesise"))
    );
    let reports = held(&node.log.reports).clone();
    let verbs: Vec<&str> = reports.iter().map(|report| report["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["ADD", "CHECK", "DEL"]);
    assert_eq!((&reports[0]["code"], &reports[0]["format"]), (&json!(0), &json!(1)));
    assert!(reports[0]["phases"]["monitor"].is_number(), "{}", reports[0]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_says_its_code_and_cause_in_the_log_and_to_the_audit() {
    let (node, web) = (talkative(), Sandbox::new("s1", "web-0"));
    assert_eq!(code(&call(&node, "CHECK", &web).await), 3);
    let lines = held(&node.log.log).clone();
    let last = lines.last().unwrap();
    assert!(last.contains("ERROR CHECK failed") && last.contains("code=3"), "{last}");
    assert_eq!(held(&node.log.reports).last().unwrap()["code"], 3);
}

#[tokio::test(start_paused = true)]
async fn no_secret_of_the_files_or_of_standard_input_is_told_to_anyone() {
    let (node, web) = (talkative(), Sandbox::new("s1", "web-0"));
    let mut told = Vec::new();
    for command in ["ADD", "ADD", "CHECK", "DEL", "STATUS", "GC"] {
        let outcome = call(&node, command, &web).await;
        told.push(String::from_utf8(outcome.stdout).unwrap());
        told.extend(outcome.stderr);
    }
    // The files are broken beside their secrets, in turn.
    for (file, tail) in
        [("/config/vsp-k8s.yaml", "podMaySet: 7\n"), ("/config/nuage.kubeconfig", "users: 7\n")]
    {
        let whole = String::from_utf8(held(&node.disk.files)[std::path::Path::new(file)].clone()).unwrap();
        node.write(file, &format!("{whole}{tail}"));
        let outcome = call(&node, "ADD", &web).await;
        assert_eq!(code(&outcome), 7, "{file}");
        told.push(String::from_utf8(outcome.stdout).unwrap());
        told.extend(outcome.stderr);
    }
    told.extend(held(&node.log.log).clone());
    assert!(told.len() > 15, "{told:#?}");
    for secret in [TOKEN, KEY, PASSWORD] {
        let teller = told.iter().find(|text| text.contains(secret));
        assert_eq!(teller, None, "{secret}");
    }
}
