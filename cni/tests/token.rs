//! The plugins' token: a copy of the one that the daemon's pod is given, renewed with it. On real files, since how it is written
//! counts.
#![cfg(feature = "audit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nuage_cni::audit::token::renew;
use nuage_cni::config::load_vsp;
use nuage_cni::host::{Files, LockGuard};
use nuage_cni::node;
use nuage_cni::orchestrator::Orchestrator;

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Real files, but for the place where a pod finds its token.
struct Moved {
    account: PathBuf,
    real: std::sync::Arc<dyn Files>,
}

impl Moved {
    fn path(&self, path: &Path) -> PathBuf {
        path.strip_prefix(ACCOUNT).map_or_else(|_| path.to_owned(), |rest| self.account.join(rest))
    }
}

impl Files for Moved {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.real.read(&self.path(path), limit)
    }
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.real.write(&self.path(path), content)
    }
    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.real.remove(&self.path(path))
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.real.list(&self.path(directory))
    }
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.real.try_lock(&self.path(path))
    }
}

/// A folder with a kubeconfig whose user is described by `user`, and the files of a pod beside it.
fn site(user: &str) -> (tempfile::TempDir, Moved) {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://api:6443'}}}}]\nusers: [{{name: u, user: {user}}}]\n"
    );
    std::fs::write(directory.path().join("vsp-k8s.yaml"), "vsdUser: u\n").unwrap();
    std::fs::write(directory.path().join("nuage.kubeconfig"), kubeconfig).unwrap();
    let account = directory.path().join("account");
    std::fs::create_dir(&account).unwrap();
    let files = Moved { account, real: node::host().files };
    (directory, files)
}

fn run(directory: &Path, files: &Moved) -> Result<Option<PathBuf>, nuage_cni::Error> {
    renew(files, &load_vsp(files, Orchestrator::Kubernetes, Some(directory))?)
}

#[test]
fn a_token_that_changes_is_copied_to_where_the_plugins_look_whole_and_for_root_alone() {
    let (directory, files) = site("{tokenFile: plugins/token}");
    let target = directory.path().join("plugins/token");
    assert_eq!(run(directory.path(), &files).unwrap(), None, "outside of a pod there is none");
    assert!(!target.exists());

    for token in ["first", "second"] {
        // As a kubelet does: another file in the place of the old one.
        std::fs::write(files.account.join("token"), token).unwrap();
        let before = std::fs::metadata(&target).map(|found| found.ino()).ok();
        assert_eq!(run(directory.path(), &files).unwrap(), Some(target.clone()));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), token);
        let found = std::fs::metadata(&target).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        assert_ne!(Some(found.ino()), before, "a reader has the old one or the new one, never a part");
        assert_eq!(run(directory.path(), &files).unwrap(), None, "what has not changed is not written");
        assert_eq!(std::fs::metadata(&target).unwrap().ino(), found.ino());
    }
    let others = std::fs::read_dir(target.parent().unwrap()).unwrap().count();
    assert_eq!(others, 1, "no temporary file stays");

    // A file that is being replaced may be empty or away for a moment.
    std::fs::write(files.account.join("token"), "").unwrap();
    assert_eq!(run(directory.path(), &files).unwrap(), None);
    std::fs::remove_file(files.account.join("token")).unwrap();
    assert_eq!(run(directory.path(), &files).unwrap(), None);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "second");
}

#[test]
fn a_kubeconfig_whose_token_is_not_in_a_file_is_left_alone() {
    for user in ["{token: fixed}", "{client-certificate: c, client-key: k}"] {
        let (directory, files) = site(user);
        std::fs::write(files.account.join("token"), "first").unwrap();
        assert_eq!(run(directory.path(), &files).unwrap(), None, "{user}");
    }
    let (directory, files) = site(&format!("{{tokenFile: {ACCOUNT}/token}}"));
    std::fs::write(files.account.join("token"), "first").unwrap();
    assert_eq!(run(directory.path(), &files).unwrap(), None, "it is the pod's own");
}

#[test]
fn what_the_disk_refuses_is_told_without_the_token() {
    let (directory, files) = site("{tokenFile: vsp-k8s.yaml/token}");
    std::fs::write(files.account.join("token"), "a-secret").unwrap();
    let error = run(directory.path(), &files).unwrap_err();
    let told = format!("{error}: {}", error.details());
    assert!(told.contains("vsp-k8s.yaml/token") && !told.contains("a-secret"), "{told}");
}
