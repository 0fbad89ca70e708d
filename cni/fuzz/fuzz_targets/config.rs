//! Any text as each of the node's files: values or an error that names the file; never a panic, and never a line of a file
//! in an error.
#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nuage_cni::config::{load_kubeconfig, load_node, load_vsp};
use nuage_cni::host::{Files, LockGuard};
use nuage_cni::orchestrator::Orchestrator;

/// Every file has the same text.
struct Same<'a>(&'a [u8]);

impl Files for Same<'_> {
    fn read(&self, _path: &Path, _limit: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.to_vec()))
    }
    fn write(&self, _path: &Path, _content: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn remove(&self, _path: &Path) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn list(&self, _directory: &Path) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn try_lock(&self, _path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fuzz_target!(|input: &[u8]| {
    let (files, directory) = (Same(input), Path::new("/d"));
    let mut errors = Vec::new();
    errors.extend(load_node(&files, Some(directory)).err());
    errors.extend(load_kubeconfig(&files, &directory.join("nuage.kubeconfig")).err());
    for orchestrator in [Orchestrator::Kubernetes, Orchestrator::OpenShift] {
        match load_vsp(&files, orchestrator, Some(directory)) {
            Ok(vsp) => errors.extend(vsp.monitor_identity(&files).err()),
            Err(error) => errors.push(error),
        }
    }
    for error in errors {
        assert!([5, 7].contains(&error.code()), "{error:?}");
        assert!(error.to_string().contains("/d"), "{error:?}");
    }
});
