//! Any bytes on a connection: the server answers or drops it, and another client is served as before.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use nuage_ovsdb::client::{Client, Limits};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long the other client may take: none of this is slow.
const PATIENCE: Duration = Duration::from_secs(10);

fuzz_target!(|input: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).expect("a switch");
        let stream = vrs.connect().expect("it runs");
        let (mut reader, mut writer) = tokio::io::split(stream);
        let reading = tokio::spawn(async move {
            let mut answers = Vec::new();
            let _ = reader.read_to_end(&mut answers).await;
        });
        let _ = writer.write_all(input).await;
        let client = Client::spawn(vrs.connect().expect("it runs"), Limits::default());
        let select = json!(["Open_vSwitch", {"op": "select", "table": "Bridge", "where": [], "columns": ["name"]}]);
        client.call("transact", select, PATIENCE).await.expect("another client is served");
        reading.abort();
    });
});
