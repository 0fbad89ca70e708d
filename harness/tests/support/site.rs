//! A node on a real kernel, with a switch, a controller, an API server and a monitor as processes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Process, executable, names, rows, run, show};

/// A node with everything around it.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    /// The switch's socket.
    pub(crate) switch: PathBuf,
    processes: Vec<Process>,
}

impl Site {
    /// `emulator up` in a directory.
    pub(crate) fn emulator(directory: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(executable("emulator"));
        command.arg("up").arg("--dir").arg(directory).args(arguments);
        Process::start(command, "ready")
    }

    /// Everything emulated.
    pub(crate) fn emulated() -> Self {
        Self::emulated_with(&[])
    }

    /// Everything emulated, and what these arguments ask for.
    pub(crate) fn emulated_with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let emulator = Self::emulator(&directory.path().join("site"), arguments);
        let mut site = Self { switch: PathBuf::new(), directory, processes: vec![emulator] };
        site.switch = site.switch_of(0);
        site
    }

    /// The switch of a node, by its number from 0.
    pub(crate) fn switch_of(&self, node: usize) -> PathBuf {
        let endpoint = self.endpoints()["nodes"][node]["vrs"].as_str().unwrap().to_owned();
        endpoint.strip_prefix("unix:").unwrap().into()
    }

    /// The network namespace that a node is, where packets are carried.
    pub(crate) fn netns_of(&self, node: usize) -> Option<String> {
        self.endpoints()["nodes"][node]["netns"].as_str().map(str::to_owned)
    }

    /// Lets nobody of the nodes' domain talk to anybody, by an entry before all others.
    pub(crate) fn deny_everything(&self) {
        let file = self.directory.path().join("policy.toml");
        let template = |way: &str| {
            format!(
                "[[enterprise.domain.{way}acltemplate]]\nname = \"Nobody talks\"\nactive = true\npriority = 1\n\
                 [[enterprise.domain.{way}acltemplate.{way}aclentrytemplate]]\ndescription = \"Nobody\"\npriority = 1\n\
                 action = \"DROP\"\nDSCP = \"*\"\netherType = \"0x0800\"\nprotocol = \"ANY\"\nlocationType = \"ANY\"\n\
                 networkType = \"ANY\"\n"
            )
        };
        let domain =
            "[[enterprise]]\nname = \"K8S-Enterprise\"\n[[enterprise.domain]]\nname = \"K8S-Domain\"\n";
        std::fs::write(&file, [domain, &template("ingress"), &template("egress")].concat()).unwrap();
        let mut import = Command::new(executable("emulator"));
        let output = import.args(["vsd", "import"]).arg(file).arg("--dir").arg(self.root()).output().unwrap();
        assert!(output.status.success(), "{}", show(&output));
    }

    /// A real ovsdb-server that carries our schema, resolved by `emulator vsc`.
    pub(crate) fn real_ovsdb_server() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let emulator = Self::emulator(&directory.path().join("site"), &["--only", "vsd,monitor,kube"]);
        let schema = directory.path().join("vswitch.ovsschema");
        let printed = Command::new(executable("emulator")).arg("schema").output().unwrap();
        assert!(printed.status.success(), "{}", show(&printed));
        std::fs::write(&schema, printed.stdout).unwrap();
        let database = directory.path().join("conf.db");
        run("ovsdb-tool", &["create", database.to_str().unwrap(), schema.to_str().unwrap()]);

        let switch = directory.path().join("db.sock");
        let mut server = Command::new("ovsdb-server");
        server.arg(&database).arg(format!("--remote=punix:{}", switch.display())).arg("-vconsole:off");
        server.arg(format!("--unixctl={}", directory.path().join("ctl").display()));
        let server = Process::start_silent(server, &switch);

        let mut controller = Command::new(executable("emulator"));
        controller.arg("vsc").arg("--vrs").arg(format!("unix:{}", switch.display()));
        controller.arg("--dir").arg(directory.path().join("site"));
        let controller = Process::start(controller, "ready");

        let site = Self { directory, switch, processes: vec![controller, server, emulator] };
        // The node's files name the emulated switch; this node has another.
        let node = site.node().join("nuage-cni.yaml");
        let text = std::fs::read_to_string(&node).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("vrsendpoint"));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.push(format!("vrsendpoint: {}\n", site.switch.display()));
        std::fs::write(&node, lines.join("\n")).unwrap();
        site
    }

    /// Where the emulator is.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("site")
    }

    /// Where the node's files are.
    pub(crate) fn node(&self) -> PathBuf {
        self.root().join("node")
    }

    /// What runs where.
    pub(crate) fn endpoints(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.root().join("endpoints.json")).unwrap()).unwrap()
    }

    /// Ends all of it.
    pub(crate) fn terminate(self) {
        self.processes.into_iter().for_each(Process::terminate);
    }

    /// Ends all of it, and its directory after `then`.
    pub(crate) fn terminate_but_keep(mut self, then: impl FnOnce(&Self)) {
        std::mem::take(&mut self.processes).into_iter().for_each(Process::terminate);
        then(&self);
    }

    /// The switch shows the port in all the places that a VRS has for it.
    pub(crate) async fn assert_attached(&self, sandbox: &str, port: &str, address: &str) {
        for table in ["Interface", "Port", "Nuage_Port_Table"] {
            assert!(names(&self.switch, table).await.contains(&port.to_owned()), "{table}");
        }
        let resolved = rows(&self.switch, "Nuage_Port_Table").await;
        let row = resolved.iter().find(|row| row["name"] == port).unwrap();
        assert_eq!(row["ip_addr"], address, "{row}");
        let entities = rows(&self.switch, "Nuage_VM_Table").await;
        assert!(entities.iter().any(|row| row["vm_uuid"] == sandbox && row["ports"] == port), "{entities:?}");
        let listed = run(
            "ovs-vsctl",
            &["--no-wait", &format!("--db=unix:{}", self.switch.display()), "list-ports", "alubr0"],
        );
        assert!(listed.lines().any(|line| line == port), "{listed}");
    }

    /// Nothing of the port is left, on the switch or on the host.
    pub(crate) async fn assert_gone(&self, port: &str) {
        for table in ["Interface", "Port", "Nuage_Port_Table"] {
            assert!(!names(&self.switch, table).await.contains(&port.to_owned()), "{table}");
        }
        assert!(rows(&self.switch, "Nuage_VM_Table").await.is_empty());
        let link = Command::new("ip").args(["link", "show", "dev", port]).output().unwrap();
        assert!(!link.status.success(), "{}", show(&link));
        let open = self.open_records();
        assert!(open.is_empty(), "{open:?}");
    }

    /// The journal's records of attachments that are up or being made.
    pub(crate) fn open_records(&self) -> Vec<PathBuf> {
        let files = walk(&self.node().join("state")).into_iter();
        files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
    }
}

/// All files below a directory.
pub(crate) fn walk(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path) } else { vec![path] }
        })
        .collect()
}
