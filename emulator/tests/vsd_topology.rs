//! Topologies: what a text says is made, once; what is exported can be made again and exported alike.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "support/emulator.rs"]
mod emulator;

use emulator::Emulator;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::vsd::Vsd;
use nuage_emulator::vsd::client::Client;
use nuage_emulator::vsd::topology::{Outcome, export, import};
use serde_json::json;

/// References to what stands further down, members, a value that looks like a reference, a template with parts.
const SITE: &str = r#"
[[enterprise]]
name = "acme"
description = "@@home"

[[enterprise.domain]]
name = "web"
templateID = "@plain"

[[enterprise.domain.policygroup]]
name = "frontend"
type = "SOFTWARE"
vport = ["@uplink"]

[[enterprise.domain.zone]]
name = "inside"

[[enterprise.domain.zone.subnet]]
name = "front"
address = "10.1.0.0"
netmask = "255.255.255.0"
gateway = "10.1.0.254"

[[enterprise.domain.zone.subnet.vport]]
as = "uplink"
name = "uplink"
type = "BRIDGE"

[[enterprise.domain.zone]]
name = "from-template"

[[enterprise.domaintemplate]]
as = "plain"
name = "Plain"

[[enterprise.domaintemplate.zonetemplate]]
name = "from-template"
"#;

fn vsd(seed: u64) -> (Vsd, Client) {
    let clock = Clock::Virtual { epoch: 1_700_000_000_000, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock, Entropy::seeded(seed));
    let peer = PeerCertificate { common_name: "csproot".to_owned() };
    let http = in_process(vsd.router(), Some(peer));
    (vsd, Client::new(http, "https://vsd/nuage/api/v6"))
}

#[tokio::test]
async fn what_a_text_says_is_made_once_and_what_is_exported_makes_the_same_again() {
    let (vsd_a, client) = self::vsd(1);
    let first = import(&client, SITE).await.unwrap();
    assert_eq!((first.updated, first.created + first.unchanged), (0, 9));
    assert_eq!(import(&client, SITE).await.unwrap(), Outcome { unchanged: 9, ..Outcome::default() });

    let subnet = vsd_a.snapshot("subnet").into_iter().find(|object| object["name"] == json!("front"));
    assert_eq!(subnet.unwrap()["gateway"], json!("10.1.0.254"));
    let enterprise = vsd_a.snapshot("enterprise").into_iter().find(|object| object["name"] == json!("acme"));
    assert_eq!(enterprise.unwrap()["description"], json!("@home"));
    let group = vsd_a.snapshot("policygroup").remove(0);
    let members = client.list(&format!("policygroups/{}/vports", group["ID"].as_str().unwrap()), None).await;
    assert_eq!(members.unwrap()[0]["name"], json!("uplink"));

    let text = export(&client).await.unwrap();
    let (_, other) = self::vsd(2);
    import(&other, &text).await.unwrap();
    assert_eq!(export(&other).await.unwrap(), text, "another VSD, other IDs, the same text");
    let again = import(&other, &text).await.unwrap();
    assert_eq!((again.created, again.updated), (0, 0), "{text}");
}

#[tokio::test]
async fn what_is_different_is_changed_and_nothing_is_deleted() {
    let (vsd, client) = vsd(1);
    import(&client, SITE).await.unwrap();
    let changed = SITE.replace("@@home", "elsewhere").replace("\"frontend\"", "\"renamed\"");
    let outcome = import(&client, &changed).await.unwrap();
    assert_eq!((outcome.created, outcome.updated), (1, 1));
    assert_eq!(vsd.snapshot("policygroup").len(), 2);
}

#[tokio::test]
async fn what_cannot_be_made_is_told_with_its_place() {
    let (_, client) = vsd(1);
    for (text, words) in [
        (SITE.replace("@plain", "@nowhere"), "enterprise acme > domain web: @nowhere is nowhere"),
        (SITE.replace("255.255.255.0", "255.0.255.0"), "zone inside > subnet front: the VSD answered 409"),
        (SITE.replace("[\"@uplink\"]", "[\"@gone\"]"), "policygroup frontend: @gone is nowhere"),
        (SITE.replace("as = \"uplink\"", "as = \"plain\""), "is the name of something else"),
        (SITE.replace("as = \"plain\"", "status = \"x\""), "domaintemplate Plain: status is neither"),
    ] {
        let told = import(&client, &text).await.unwrap_err().to_string();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn the_command_line_imports_and_exports_with_a_running_emulator() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(&directory.path().join("site"), &["--only", "vsd"]);
    let file = directory.path().join("site.toml");
    std::fs::write(&file, SITE).unwrap();
    let path = file.to_str().unwrap();
    let (code, said, _) = emulator.vsd(&["import", path]);
    assert_eq!(code, Some(0));
    assert!(said.contains("created, 0 updated"), "{said}");
    let (_, exported, _) = emulator.vsd(&["export"]);
    assert!(exported.contains("name = \"front\""), "{exported}");
    std::fs::write(&file, &exported).unwrap();
    let (code, said, _) = emulator.vsd(&["import", path]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("0 created, 0 updated"), "{said}");
    std::fs::write(&file, "[[enterprise]]\nname = 'a'\ncolour = 'red'\n").unwrap();
    let (code, _, told) = emulator.vsd(&["import", path]);
    assert_eq!(code, Some(1));
    assert!(told.contains("site.toml: enterprise a: colour is neither"), "{told}");
}
