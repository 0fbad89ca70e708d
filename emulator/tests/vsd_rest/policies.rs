//! Promises about ACL templates, their entries and the jobs that change them as a whole. Evidence: Nuage's Kubernetes
//! monitor (2533 tells that a name exists, any other 409 of a template makes it try another priority; jobs are polled until
//! SUCCESS or FAILED), neutron's plugin (2640, 2591) and the API's specification (drafts name what they are drafts of).

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Tree, tree};

fn entry(priority: i64) -> Value {
    json!({ "etherType": "0x0800", "DSCP": "*", "action": "FORWARD", "locationType": "ANY", "networkType": "ANY",
            "priority": priority })
}

impl Tree {
    /// Runs a job to its end and gives its status.
    async fn job(&self, command: &str) -> Value {
        let path = format!("domains/{}/jobs", self.domain);
        let made = self.client.post(&path, json!({ "command": command })).await;
        let job = made.one();
        assert_eq!(
            [&job["status"], &job["progress"], &job["result"]],
            [&json!("RUNNING"), &json!(0.0), &Value::Null]
        );
        assert_eq!([&job["assocEntityType"], &job["parentType"]], [&json!("DOMAIN"), &json!("domain")]);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        self.client.get(&format!("jobs/{}", made.id())).await.one()["status"].clone()
    }

    async fn templates(&self, state: &str) -> Vec<Value> {
        let path = format!("domains/{}/ingressacltemplates", self.domain);
        let found = self.client.filtered(&path, &format!("policyState == \"{state}\"")).await.json();
        found.as_array().cloned().unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn templates_and_entries_have_their_own_names_and_priorities_by_their_codes() {
    let tree = tree().await;
    let client = &tree.client;
    for (way, code) in
        [("ingressacl", 2640), ("egressacl", 2640), ("ingressadvfwd", 2591), ("egressadvfwd", 2591)]
    {
        let path = format!("domains/{}/{way}templates", tree.domain);
        let body =
            |name: &str, priority: Value| json!({ "name": name, "priority": priority, "active": true });
        let made = client.post(&path, body("a", json!(1_000_000_000))).await;
        let template = made.one();
        assert_eq!([&template["policyState"], &template["defaultAllowIP"]], [&json!("LIVE"), &json!(false)]);
        client.post(&path, body("a", json!(1))).await.refused(2533);
        let same = client.post(&path, body("b", json!(1_000_000_000))).await;
        assert_eq!(
            (same.status, same.code()),
            (StatusCode::CONFLICT, None),
            "not 2533, so the monitor tries another"
        );
        client.post(&path, body("b", json!(999_999_999))).await.id();
        assert_eq!(client.post(&path, body("c", Value::Null)).await.one()["priority"], json!(1_000_000_001));

        let entries = format!("{way}templates/{}/{way}entrytemplates", made.id());
        let first = client.post(&format!("{entries}?responseChoice=1"), entry(0)).await;
        assert!(first.one()["statsID"].is_string());
        client.post(&entries, entry(0)).await.refused(code);
        let next = client.post(
            &entries,
            json!({ "etherType": "0x0800", "DSCP": "*", "action": "DROP", "locationType": "ANY" }),
        );
        assert_eq!(next.await.one()["priority"], json!(1));
        client
            .put(&format!("{way}entrytemplates/{}", first.id()), json!({ "priority": 1 }))
            .await
            .refused(code);
        let filter =
            "DSCP == \"*\" and action == \"FORWARD\" and etherType == \"0x0800\" and locationType == \"ANY\"";
        assert_eq!(client.filtered(&entries, filter).await.header("x-nuage-count"), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_names_places_that_there_are_and_values_that_mean_something() {
    let tree = tree().await;
    let client = &tree.client;
    let path = format!("domains/{}/ingressacltemplates", tree.domain);
    let template = client.post(&path, json!({ "name": "a" })).await.id();
    let entries = format!("ingressacltemplates/{template}/ingressaclentrytemplates");
    let with = |changes: Value| {
        let mut body = entry(7);
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (changes, property) in [
        (json!({ "locationType": "ZONE" }), "locationID"),
        (json!({ "locationType": "ZONE", "locationID": tree.subnet }), "locationID"),
        (json!({ "networkType": "POLICYGROUP", "networkID": "nothing" }), "networkID"),
        (json!({ "protocol": "tcp" }), "protocol"),
        (json!({ "destinationPort": "80-70" }), "destinationPort"),
        (json!({ "etherType": "IP" }), "etherType"),
        (json!({ "DSCP": "64" }), "DSCP"),
    ] {
        let wrong = client.post(&entries, with(changes.clone())).await;
        assert_eq!(wrong.status, StatusCode::CONFLICT, "{changes}");
        assert_eq!(wrong.json()["errors"][0]["property"], json!(property));
    }
    let good = json!({ "locationType": "ZONE", "locationID": tree.zone, "networkType": "SUBNET", "networkID": tree.subnet,
                       "protocol": "6", "sourcePort": "*", "destinationPort": "80,443" });
    let made = client.post(&entries, with(good)).await.one();
    assert_eq!([&made["locationEntityType"], &made["networkEntityType"]], [&json!("ZONE"), &json!("SUBNET")]);
}

#[tokio::test(start_paused = true)]
async fn policy_changes_are_drafts_until_they_are_applied_as_a_whole() {
    let tree = tree().await;
    let client = &tree.client;
    let path = format!("domains/{}/ingressacltemplates", tree.domain);
    let live = client.post(&path, json!({ "name": "a", "priority": 1, "active": true })).await.id();
    let entries = format!("ingressacltemplates/{live}/ingressaclentrytemplates");
    let kept = client.post(&entries, entry(1)).await.id();
    let gone = client.post(&entries, entry(2)).await.id();
    let doomed = client.post(&path, json!({ "name": "doomed", "priority": 2 })).await.id();

    assert_eq!(tree.job("BEGIN_POLICY_CHANGES").await, json!("SUCCESS"));
    assert_eq!(tree.job("BEGIN_POLICY_CHANGES").await, json!("FAILED"), "once is enough");
    let domain = format!("domains/{}", tree.domain);
    assert_eq!(client.get(&domain).await.one()["policyChangeStatus"], json!("STARTED"));
    let drafts = tree.templates("DRAFT").await;
    assert_eq!(drafts.len(), 2);
    let draft = drafts.iter().find(|draft| draft["associatedLiveEntityID"] == json!(live)).unwrap();
    let draft_path = format!("ingressacltemplates/{}", draft["ID"].as_str().unwrap());
    let draft_entries = format!("{draft_path}/ingressaclentrytemplates");
    let copies = client.get(&draft_entries).await.json();
    let copy_of = |id: &str| {
        let copy = copies
            .as_array()
            .unwrap()
            .iter()
            .find(|copy| copy["associatedLiveEntityID"] == json!(id))
            .unwrap();
        assert_eq!(copy["policyState"], json!("DRAFT"));
        format!("ingressaclentrytemplates/{}", copy["ID"].as_str().unwrap())
    };
    assert_eq!(client.put(&draft_path, json!({ "description": "changed" })).await.status, 204);
    assert_eq!(client.put(&copy_of(&kept), json!({ "action": "DROP" })).await.status, 204);
    assert_eq!(client.delete(&copy_of(&gone)).await.status, 204);
    let added = client.post(&draft_entries, entry(3)).await.id();
    let doomed_draft = drafts.iter().find(|draft| draft["associatedLiveEntityID"] == json!(doomed)).unwrap();
    let doomed_draft = format!("ingressacltemplates/{}", doomed_draft["ID"].as_str().unwrap());
    assert_eq!(client.delete(&doomed_draft).await.status, 204);
    let new = client.post(&path, json!({ "name": "new", "priority": 9 })).await;
    assert_eq!(new.one()["policyState"], json!("DRAFT"));
    let inside =
        client.post(&format!("ingressacltemplates/{}/ingressaclentrytemplates", new.id()), entry(1)).await;
    assert_eq!(inside.one()["policyState"], json!("DRAFT"));
    let untouched = client.get(&format!("ingressacltemplates/{live}")).await.one();
    assert_eq!(untouched["description"], Value::Null);
    assert_eq!(client.get(&entries).await.header("x-nuage-count"), "2");

    assert_eq!(tree.job("APPLY_POLICY_CHANGES").await, json!("SUCCESS"));
    assert_eq!(client.get(&domain).await.one()["policyChangeStatus"], json!("APPLIED"));
    assert!(tree.templates("DRAFT").await.is_empty());
    let mut names: Vec<_> = tree.templates("LIVE").await.iter().map(|live| live["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["a", "new"]);
    assert_eq!(
        client.get(&format!("ingressacltemplates/{live}")).await.one()["description"],
        json!("changed")
    );
    let mut left: Vec<_> = client
        .get(&entries)
        .await
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["ID"].clone(), entry["action"].clone(), entry["policyState"].clone()))
        .collect();
    left.sort_by_key(|(id, ..)| *id == json!(added));
    let live_entry = |id: &str, action: &str| (json!(id), json!(action), json!("LIVE"));
    assert_eq!(left, [live_entry(&kept, "DROP"), live_entry(&added, "FORWARD")]);
    assert_eq!(client.get(&format!("ingressacltemplates/{doomed}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(tree.job("APPLY_POLICY_CHANGES").await, json!("FAILED"), "nothing is prepared");
}

#[tokio::test(start_paused = true)]
async fn discarded_policy_changes_leave_no_trace() {
    let tree = tree().await;
    let path = format!("domains/{}/ingressacltemplates", tree.domain);
    let live = tree.client.post(&path, json!({ "name": "a", "priority": 1 })).await.id();
    let entries = format!("ingressacltemplates/{live}/ingressaclentrytemplates");
    tree.client.post(&entries, entry(1)).await.id();
    let before = (tree.templates("LIVE").await, tree.client.get(&entries).await.json());
    tree.job("BEGIN_POLICY_CHANGES").await;
    let draft = tree.templates("DRAFT").await.remove(0);
    tree.client
        .put(&format!("ingressacltemplates/{}", draft["ID"].as_str().unwrap()), json!({ "active": true }))
        .await;
    tree.client.post(&path, json!({ "name": "b" })).await.id();
    assert_eq!(tree.job("DISCARD_POLICY_CHANGES").await, json!("SUCCESS"));
    assert_eq!((tree.templates("LIVE").await, tree.client.get(&entries).await.json()), before);
    assert!(tree.templates("DRAFT").await.is_empty());
    let domain = tree.client.get(&format!("domains/{}", tree.domain)).await.one();
    assert_eq!(domain["policyChangeStatus"], json!("DISCARDED"));
    assert_eq!(tree.job("DISCARD_POLICY_CHANGES").await, json!("FAILED"));
}

#[tokio::test(start_paused = true)]
async fn an_object_takes_the_jobs_that_it_knows_and_says_what_cannot_be_done() {
    let tree = tree().await;
    let vport = json!({ "name": "p", "type": "CONTAINER" });
    let vport = tree.client.post(&format!("subnets/{}/vports", tree.subnet), vport).await.id();
    let wrong =
        tree.client.post(&format!("vports/{vport}/jobs"), json!({ "command": "BEGIN_POLICY_CHANGES" })).await;
    assert_eq!(wrong.status, StatusCode::CONFLICT);
    assert_eq!(wrong.json()["errors"][0]["property"], json!("command"));
    assert_eq!(tree.job("EXPORT").await, json!("FAILED"));
}
