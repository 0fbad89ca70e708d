//! What is below requests: bytes that are messages, or none, and transactions that are cancelled. The real server says which of
//! them end a connection.

use nuage_ovsdb::rpc::Message;
use serde_json::{Value, json};

use super::EVERYTHING;
use super::peers::{Ours, Peer, Real, Session};

fn start(test: &str) -> Option<(Real, Ours)> {
    let schema: Value = serde_json::from_str(EVERYTHING).unwrap();
    let real = Real::start(test, &schema)?;
    Some((real, Ours::start(&schema)))
}

/// What a client of its own gets for `bytes`, and whether it is still served afterwards.
fn tell(peer: &impl Peer, bytes: &[u8]) -> (Vec<Message>, bool) {
    let mut session = peer.connect();
    session.send_bytes(bytes);
    session.ask_echo();
    let messages = session.until_echo();
    (messages, session.open)
}

#[test]
fn the_same_bytes_are_messages_and_the_same_bytes_end_a_connection() {
    let Some((real, ours)) = start("the_same_bytes_are_messages_and_the_same_bytes_end_a_connection") else {
        return;
    };
    let echo = |param: &str| format!(r#"{{"method":"echo","params":[{param}],"id":1}}"#).into_bytes();
    let mut cases: Vec<Vec<u8>> = [
        "[1]",
        "hello",
        "5",
        "{}",
        "}",
        r#"{"method":"echo","id":1}"#,
        r#"{"method":"echo","params":{},"id":1}"#,
        r#"{"method":"echo","params":null,"id":1}"#,
        r#"{"method":"echo","params":"x","id":1}"#,
        r#"{"method":5,"params":[],"id":1}"#,
        r#"{"method":null,"params":[],"id":1}"#,
        r#"{"params":[],"id":1}"#,
        r#"{"jsonrpc":"2.0","method":"echo","params":[],"id":1}"#,
        r#"{"method":"echo","params":[],"id":1,"result":null,"error":null}"#,
        r#"{"method":"echo","params":[],"id":1,"result":1}"#,
        r#"{"method":"echo","params":[],"id":1,"error":1}"#,
        r#"{"method":"echo","params":[1],"id":null}"#,
        r#"{"method":"echo","params":[1]}"#,
        r#"{"method":"echo","params":[1],"id":{"a":[1]}}"#,
        r#"{"method":"echo","params":[1],"id":false}"#,
        r#"{"method":"echo","method":"list_dbs","params":[1],"id":2,"id":3}"#,
        r#"{"id":1,"result":1,"error":null}"#,
        r#"{"id":"echo","result":[],"error":null}"#,
        r#"{"id":1,"error":"x"}"#,
        "{\"method\":\"echo\",\n\"params\" : [1],\t\"id\":1}\r\n",
        r#"{"method":"echo","params":[1],"id":1}{"method":"echo","params":[2],"id":2}"#,
        r#"{"method":"echo","params":[1,],"id":1}"#,
        r#"{"method":"echo","params":[1],"id":1,}"#,
        r"{'method':'echo','params':[1],'id':1}",
        r#"{"method":"echo","params":[1] /* */,"id":1}"#,
        r#"{"method":"frob","params":[],"id":1}"#,
        r#"{"method":"cancel","params":[],"id":null}"#,
        r#"{"method":"frob","params":[],"id":null}"#,
        r#"{"method":"get_server_id","params":null,"id":1}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    let params = [
        r#""\u0000""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\x""#,
        r#""\/\b""#,
        "\"a\nb\"",
        "\"a\u{1}b\"",
        "\"\u{e9}\u{20ac}\"",
        "1e400",
        "-1e400",
        "1e-400",
        "-0",
        "-0.0",
        "01",
        "1.",
        ".5",
        "+1",
        "1e5",
        "1E+5",
        "NaN",
        "nul",
        "truefalse",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "1.5e3",
        "123456789012345678901234567890",
        "0.1e1",
        r#"{"a":1,"a":2}"#,
        r#"{"a"}"#,
        r"{1:2}",
    ];
    cases.extend(params.map(echo));
    let mut differences = Vec::new();
    let mut ended = 0;
    for bytes in &cases {
        let (theirs, mine) = (tell(&real, bytes), tell(&ours, bytes));
        ended += usize::from(!theirs.1);
        if theirs != mine {
            differences
                .push(format!("{}\n  real: {theirs:?}\n  ours: {mine:?}", String::from_utf8_lossy(bytes)));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(ended > 20 && cases.len() - ended > 20, "{ended} of {} end a connection", cases.len());
}

#[test]
fn a_cancelled_transaction_is_answered_where_the_real_server_answers_it() {
    let Some((real, ours)) = start("a_cancelled_transaction_is_answered_where_the_real_server_answers_it")
    else {
        return;
    };
    let wait = json!({"op": "wait", "table": "few", "where": [], "columns": ["number"], "until": "==", "rows": [{"number": 1}]});
    let steps = |session: &mut Session| -> Vec<Vec<Message>> {
        let mut told = Vec::new();
        let mut say = |session: &mut Session, method: &str, params: &[Value], id: Value| {
            session.send(method, params, id);
            session.ask_echo();
            told.push(session.until_echo());
        };
        for round in 0..2 {
            say(session, "transact", &[json!("Everything"), wait.clone()], json!(["w", round]));
            say(session, "cancel", &[json!(["w", 7])], Value::Null);
            say(session, "cancel", &[], Value::Null);
            say(session, "cancel", &[json!(["w", round])], Value::Null);
            say(session, "cancel", &[json!(["w", round])], Value::Null);
            // The number may be used again.
            say(session, "transact", &[json!("Everything"), wait.clone()], json!(["w", round]));
            say(session, "cancel", &[json!(["w", round])], json!("not a notification"));
            say(session, "cancel", &[json!(["w", round])], Value::Null);
            say(session, "set_db_change_aware", &[json!(true)], json!("aware"));
        }
        let insert = json!({"op": "insert", "table": "few", "row": {"number": 1}, "uuid": "5bc038d8-7778-49ad-a4e7-f17aa94025ab"});
        say(session, "transact", &[json!("Everything"), insert], json!("nobody waits for it"));
        told
    };
    assert_eq!(steps(&mut ours.connect()), steps(&mut real.connect()));
}
