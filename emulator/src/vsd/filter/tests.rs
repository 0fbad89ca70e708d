//! What clients of the real VSD send, and what no client should.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn read(text: &str) -> Filter {
    Filter::read(text, None).unwrap()
}

fn passes(text: &str) -> bool {
    let object = json!({ "name": "web \"1\"", "priority": 5, "ratio": 2.0, "externalID": null, "active": true,
                         "type": "BRIDGE", "zoneIDs": ["a", "b"], "code": "007" });
    let filter = read(text);
    assert_eq!(filter.kind(), "predicate", "{text}");
    filter.passes([], |name| Cow::Owned(object.get(name).cloned().unwrap_or_default()))
}

#[test]
fn each_form_that_clients_send_is_read_and_evaluated() {
    for (text, expected) in [
        (r#"name == "web \"1\"""#, true),
        (r#"name == 'web "1"'"#, true),
        ("'name' ISNOT 'web'", true),
        ("name != 'web'", true),
        ("name <> 'web \"1\"'", false),
        ("priority == 5", true),
        ("priority = '5'", true),
        ("priority >= '10'", false),
        ("priority < 10", true),
        ("priority=>5", true),
        ("priority =< 4", false),
        ("ratio == 2", true),
        ("code == 007 AND code != 7", true),
        ("type IS BRIDGE", true),
        ("type IS NOT BRIDGE", false),
        ("externalID IS null", true),
        ("externalID IS 'null'", false),
        ("externalID is nil and active is true", true),
        ("active == TRUE", true),
        ("name contains 'eb'", true),
        ("name CONTAINS 'EB'", false),
        ("name CONTAINS[c] 'EB'", true),
        ("name ==[cd] 'WEB \"1\"'", true),
        ("name BEGINSWITH 'eb'", false),
        ("name beginswith \"web\"", true),
        ("name ENDSWITH '1\"'", true),
        ("name LIKE 'w*1?'", true),
        ("name LIKE 'w*2?'", false),
        ("name like[C] 'W*'", true),
        ("zoneIDs == 'b'", true),
        ("zoneIDs CONTAINS 'b'", true),
        ("zoneIDs != 'b'", false),
        ("externalID IN {'a', \"b\"}", false),
        ("type IN {\"BRIDGE\",'VM'}", true),
        ("type NOT IN { VM }", true),
        ("priority BETWEEN {5, 10}", true),
        ("priority between {6, 10}", false),
        ("not(name BEGINSWITH 'web') and (priority == 5)", false),
        ("not(name BEGINSWITH 'x') and (priority == 5)", true),
        ("NOT name BEGINSWITH 'x' && !(priority == 4)", true),
        ("priority == 1 OR priority == 5 AND active == true", true),
        ("priority == 1 || type IS VM", false),
        ("(priority == 5 OR priority == 1) AND active == false", false),
        ("missing == 'x'", false),
        (" ( ( name == 'x' ) or(priority==5) ) ", true),
    ] {
        assert_eq!(passes(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_predicate_is_plain_text_in_any_attribute() {
    let texts = [
        "web",
        "web server",
        "name ==",
        "(name == 'a'",
        "name == 'a' extra",
        "\"",
        "name == 'a\\",
        "a IN {}",
        "a BETWEEN {1}",
        "a SOUNDS 'b'",
        "",
    ];
    for text in texts {
        assert_eq!(read(text), Filter::Plain(text.to_owned()));
        assert_eq!(Filter::read(text, Some("predicate")).unwrap_err().status, 400, "{text}");
    }
    assert_eq!(Filter::read("name == 'a'", Some("TEXT")).unwrap().kind(), "plain");
    let filter = read("eb");
    assert!(filter.passes(["name"], |_| Cow::Owned(json!("web"))));
    assert!(!filter.passes(["name"], |_| Cow::Owned(json!("db"))));
}

#[test]
fn a_filter_that_is_too_long_or_too_deep_is_refused_and_neither_stack_nor_time_suffers() {
    let deep = |depth: usize| format!("{}a == 1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(read(&deep(parse::DEEPEST)).kind(), "predicate");
    for text in [
        deep(parse::DEEPEST + 1),
        "(".repeat(LONGEST),
        "not ".repeat(2000),
        "!".repeat(LONGEST),
        "x".repeat(LONGEST + 1),
    ] {
        assert_eq!(Filter::read(&text, None).unwrap_err().status, 400);
    }
    let wide = vec!["a == 1"; 700].join(" or ");
    assert_eq!(read(&wide).kind(), "predicate");
    let stars = format!("a LIKE '{}b'", "*a".repeat(2000));
    let field = |_: &str| Cow::Owned(Value::from("a".repeat(4000)));
    assert!(!read(&stars).passes([], field));
}

#[test]
fn an_index_is_asked_for_what_a_filter_demands_and_for_nothing_else() {
    let id = |number: u128| Uuid::from_u128(number);
    let index = |attribute: &str, text: &str| match (attribute, text) {
        ("name", "a") => Some(BTreeSet::from([id(1), id(2)])),
        ("name", "b") => Some(BTreeSet::from([id(3)])),
        ("externalID", "e") => Some(BTreeSet::from([id(2)])),
        ("name" | "externalID", _) => Some(BTreeSet::new()),
        _ => None,
    };
    let candidates = |text: &str| {
        let found = read(text).candidates(&index);
        found.map(|ids| ids.into_iter().map(|id| id.as_u128()).collect::<Vec<_>>())
    };
    assert_eq!(candidates("name == 'a'"), Some(vec![1, 2]));
    assert_eq!(candidates("type IS VM and name IS a and externalID == 'e'"), Some(vec![2]));
    assert_eq!(candidates("name == 'a' or name == 'b'"), Some(vec![1, 2, 3]));
    assert_eq!(candidates("name IN {'a', 'b', 'c'}"), Some(vec![1, 2, 3]));
    assert_eq!(candidates("name == 'none'"), Some(vec![]));
    for scanned in
        ["not (name == 'a')", "name == 'a' or type IS VM", "name != 'a'", "name ==[c] 'a'", "name IS null"]
    {
        assert_eq!(candidates(scanned), None, "{scanned}");
    }
}
