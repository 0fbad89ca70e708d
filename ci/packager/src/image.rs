//! Container images without an engine: one tar that is an OCI image layout (image-spec 1.1) and, by its manifest.json, what
//! `docker load` reads too. One layer, nothing below it.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::archive::{Entry, Kind, tar};
use crate::contents::{self, Content, LICENSE_NAME};
use crate::error::Error;
use crate::{Order, Stock, Version, library};

/// A path of an image.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Absolute.
    pub path: &'static str,
    /// Permissions.
    pub mode: u32,
    /// What is there.
    pub content: Content,
}

/// An image. The Dockerfile's target of the same name makes the same one; a test compares them.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// The Dockerfile's target.
    pub target: &'static str,
    /// Its name before the colon.
    pub repository: &'static str,
    /// What its archive's name begins with.
    archive: &'static str,
    /// What it is, in a line.
    pub title: &'static str,
    /// What is in it.
    pub rows: &'static [Row],
    /// Where the scenario library lies in it, if it does.
    pub scenarios: Option<&'static str>,
    /// Environment.
    pub environment: &'static [&'static str],
    /// What a container runs.
    pub entrypoint: &'static [&'static str],
    /// Its arguments, or what it runs where there is no entry point.
    pub command: &'static [&'static str],
    /// Where it runs.
    pub directory: &'static str,
}

const LICENSE: Row = Row {
    path: "/usr/share/licenses/nuage-cni/LICENSE",
    mode: 0o644,
    content: Content::License(contents::LICENSE),
};

const fn executable(path: &'static str, name: &'static str) -> Row {
    Row { path, mode: 0o755, content: Content::Executable(name) }
}

/// The images.
pub const ALL: &[Image] = &[
    // All side by side, which is where the installer looks for the others.
    Image {
        target: "node",
        repository: "nuage/cni",
        archive: "nuage-cni-docker",
        title: "What a node needs to attach containers to a Nuage VSP overlay",
        rows: &[
            executable("/opt/cni/bin/loopback", "loopback"),
            executable("/opt/cni/bin/nuage-audit", "nuage-audit"),
            executable("/opt/cni/bin/nuage-cni-install", "nuage-cni-install"),
            executable("/opt/cni/bin/nuage-cni-k8s", "nuage-cni-k8s"),
            executable("/opt/cni/bin/nuage-cni-mesos", "nuage-cni-mesos"),
            executable("/opt/cni/bin/nuage-cni-openshift", "nuage-cni-openshift"),
            LICENSE,
        ],
        scenarios: None,
        environment: &[
            "PATH=/opt/cni/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            // The mount of the host: what is installed is never meant for the container.
            "NUAGE_HOST_ROOT=/host",
        ],
        // No entry point, so that each of them is called by its name.
        entrypoint: &[],
        command: &["nuage-cni-install", "run"],
        directory: "/opt/cni/bin",
    },
    Image {
        target: "emulator",
        repository: "nuage/emulator",
        archive: "nuage-emulator-docker",
        title: "Emulators of a Nuage VSP site",
        rows: &[executable("/usr/bin/emulator", "emulator"), LICENSE],
        scenarios: None,
        environment: &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        entrypoint: &["/usr/bin/emulator"],
        command: &["up", "--dir", "/data"],
        directory: "/",
    },
    Image {
        target: "harness",
        repository: "nuage/harness",
        archive: "nuage-harness-docker",
        title: "Runs scenarios of pod churn and faults against the real plugin in a simulated cluster",
        rows: &[executable("/usr/bin/harness", "harness"), LICENSE],
        scenarios: Some(library::PLACE),
        environment: &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        entrypoint: &["/usr/bin/harness"],
        command: &["run", library::PLACE],
        directory: "/",
    },
];

impl Image {
    /// The archive's name; it has the version as it was given.
    pub fn file_name(&self, version: &Version) -> String {
        format!("{}-{}.tar", self.archive, version.given())
    }

    /// The archive.
    ///
    /// # Errors
    /// An executable that is not there.
    pub fn archive(&self, order: &Order, stock: &Stock) -> Result<Vec<u8>, Error> {
        let layer = tar(&self.entries(order, stock)?, order.epoch)?;
        let layer_digest = digest(&layer);
        // A tag takes no plus sign.
        let tag = order.version.given().replace('+', "-");
        let name = format!("{}:{tag}", self.repository);
        let config = self.config(order, stock, &layer_digest).to_string().into_bytes();
        let platform = json!({"architecture": stock.architecture.deb(), "os": "linux"});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut listed = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        listed["platform"] = platform;
        listed["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/{name}"),
            "org.opencontainers.image.ref.name": tag,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [listed],
        });
        let docker = json!([{
            "Config": blob_path(&config), "RepoTags": [name], "Layers": [blob_path(&layer)],
        }]);
        let file = |path: &str, bytes: Vec<u8>| Entry {
            path: path.to_owned(),
            mode: 0o644,
            kind: Kind::File(bytes),
        };
        let entries = [
            file("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes()),
            file("index.json", index.to_string().into_bytes()),
            file("manifest.json", docker.to_string().into_bytes()),
            file(&blob_path(&config), config),
            file(&blob_path(&manifest), manifest),
            file(&blob_path(&layer), layer),
        ];
        tar(&entries, order.epoch)
    }

    fn entries(&self, order: &Order, stock: &Stock) -> Result<Vec<Entry>, Error> {
        let entry = |row: &Row| -> Result<Entry, Error> {
            let bytes = row.content.bytes(row.path, stock)?;
            let kind = bytes.map_or(Kind::Directory, |bytes| Kind::File(bytes.to_vec()));
            Ok(Entry { path: row.path.trim_start_matches('/').to_owned(), mode: row.mode, kind })
        };
        let mut entries = self.rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if let Some(place) = self.scenarios {
            entries.extend(library::below(place, &order.scenarios)?);
        }
        Ok(entries)
    }

    /// The image's configuration (image-spec, config.md).
    fn config(&self, order: &Order, stock: &Stock, layer: &str) -> Value {
        let created = Timestamp::from_second(order.epoch.into()).unwrap_or_default().to_string();
        let mut config = json!({
            "Env": self.environment,
            "Cmd": self.command,
            "WorkingDir": self.directory,
            "Labels": {
                "org.opencontainers.image.licenses": LICENSE_NAME,
                "org.opencontainers.image.title": self.title,
                "org.opencontainers.image.version": order.version.given(),
            },
        });
        if !self.entrypoint.is_empty() {
            config["Entrypoint"] = json!(self.entrypoint);
        }
        json!({
            "architecture": stock.architecture.deb(),
            "os": "linux",
            "created": created,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer]},
            "history": [{"created": created, "created_by": "ci/package"}],
        })
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/sha256/{:x}", Sha256::digest(bytes))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}
