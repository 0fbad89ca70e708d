//! The crate `ovsdb` 0.0.6 as a peer, as far as it goes: it lists databases, carries an echo, reads a schema and selects rows. It has
//! no other operation, no monitor, and ends at the first error; ARCHITECTURE.md says why the product does not use it.
#![allow(clippy::unwrap_used, reason = "a test")]

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use ovsdb::protocol::Request;
use ovsdb::protocol::method::{EchoParams, Method, Operation};
use ovsdb::schema::Schema;
use serde_json::{Value, json};
use tokio::net::UnixListener;

#[tokio::test(flavor = "multi_thread")]
async fn the_ovsdb_crate_lists_our_databases_gets_its_echo_reads_our_schema_and_selects_our_rows() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("db.sock");
    let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
    tokio::spawn(vrs.server().clone().listen_unix(UnixListener::bind(&socket).unwrap()));

    let client = ovsdb::Client::connect_unix(&socket).await.unwrap();
    let databases = client.list_databases().await.unwrap();
    assert!(databases.contains(&"Open_vSwitch".to_owned()), "{databases:?}");
    let echoed = client.echo(["hello"]).await.unwrap();
    assert_eq!(echoed.as_slice(), ["hello"]);
    // Its own `get_schema` sends no array and hangs; its echo's parameters have the right form.
    let ask = Request::new(Method::GetSchema, Some(Box::new(EchoParams::new(["Open_vSwitch"]))));
    let mut schema: Value = client.execute(ask).await.unwrap().unwrap();
    // It reads no schema without a checksum, which the real server does not ask for.
    schema["cksum"] = json!("");
    let schema: Schema = schema.to_string().parse().unwrap();
    assert!(schema.tables().iter().any(|table| table.name() == "Nuage_Port_Table"));
    let select = Operation::Select { table: "Bridge".to_owned(), clauses: Vec::new() };
    let rows: Value = client.transact("Open_vSwitch", vec![select]).await.unwrap();
    assert_eq!(rows[0]["rows"][0]["name"], "alubr0", "{rows}");
    client.stop().await.unwrap();
}
