//! The crate `ovsdb` 0.0.6 as a peer, as far as it goes: it lists databases and carries an echo.
#![allow(clippy::unwrap_used, reason = "a test")]

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use tokio::net::UnixListener;

#[tokio::test(flavor = "multi_thread")]
async fn the_ovsdb_crate_lists_our_databases_and_gets_its_echo() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("db.sock");
    let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
    tokio::spawn(vrs.server().clone().listen_unix(UnixListener::bind(&socket).unwrap()));

    let client = ovsdb::Client::connect_unix(&socket).await.unwrap();
    let databases = client.list_databases().await.unwrap();
    assert!(databases.contains(&"Open_vSwitch".to_owned()), "{databases:?}");
    let echoed = client.echo(["hello"]).await.unwrap();
    assert_eq!(echoed.as_slice(), ["hello"]);
    client.stop().await.unwrap();
}
