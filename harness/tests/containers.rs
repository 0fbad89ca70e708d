//! The emulator's image, made from the static build and the project's Dockerfile and run by a real engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use nuage_ovsdb::client::{Client, Limits};
use testcontainers::core::{Mount, WaitFor};
use testcontainers::runners::{AsyncBuilder, AsyncRunner};
use testcontainers::{GenericBuildableImage, ImageExt};
use tokio::net::UnixStream;

/// The static build, if the one who runs the tests made it.
fn static_emulator() -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("NUAGE_DIST_DIR")?).join("emulator");
    path.is_file().then_some(path)
}

fn engine_answers() -> bool {
    std::process::Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulators_image_serves_a_switch_through_a_mounted_directory() {
    let name = "the_emulators_image_serves_a_switch_through_a_mounted_directory";
    let Some(emulator) = static_emulator() else {
        eprintln!("SKIPPED {name}: NUAGE_DIST_DIR with a static build (ci/test makes it)");
        return;
    };
    if !engine_answers() {
        eprintln!("SKIPPED {name}: a Docker engine");
        return;
    }
    let image = GenericBuildableImage::new("nuage-emulator", "test")
        .with_dockerfile(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Dockerfile"))
        .with_file(&emulator, "emulator")
        .build_image()
        .await
        .expect("the image builds");
    let directory = tempfile::tempdir().unwrap();
    let container = image
        .with_wait_for(WaitFor::message_on_stdout("ready"))
        .with_network("none")
        .with_mount(Mount::bind_mount(directory.path().to_str().unwrap(), "/data"))
        .with_cmd(["up", "--dir", "/data", "--only", "vrs"])
        .start()
        .await
        .expect("the container starts");

    let endpoints = std::fs::read_to_string(directory.path().join("endpoints.json")).unwrap();
    let endpoints: serde_json::Value = serde_json::from_str(&endpoints).unwrap();
    let inside = endpoints["vrs"].as_str().unwrap().strip_prefix("unix:/data/").unwrap();
    let stream = UnixStream::connect(directory.path().join(inside)).await.unwrap();
    let client = Client::spawn(stream, Limits::default());
    let databases = client.call("list_dbs", serde_json::json!([]), Duration::from_secs(10)).await.unwrap();
    assert!(databases.as_array().unwrap().contains(&"Open_vSwitch".into()), "{databases}");

    container.stop_with_timeout(Some(5)).await.unwrap();
    container.rm().await.unwrap();
}
