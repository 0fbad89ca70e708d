//! The token of the pod that this runs in, copied to where the plugins' kubeconfig looks for one: theirs on the node would be a
//! copy from the installation and good for an hour.

use std::path::{Path, PathBuf};

use crate::config::VspConfig;
use crate::error::Error;
use crate::host::Files;

/// Renewed in place by the kubelet.
const SOURCE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// A token has one or two kilobytes.
const MAX_BYTES: u64 = 64 << 10;

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Io { operation: format!("{what} {}", path.display()), details: error.to_string() }
}

/// Copies the token if there is one and it has changed; whole, readable by root alone. Returns where to, if it did.
///
/// # Errors
/// What the disk refuses, or what is wrong with the kubeconfig. Never says anything of the token.
pub fn renew(files: &dyn Files, vsp: &VspConfig) -> Result<Option<PathBuf>, Error> {
    let source = Path::new(SOURCE);
    let token = files.read(source, MAX_BYTES).map_err(|error| failed("reading", source, &error))?;
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let Some(target) = vsp.token_file(files)? else { return Ok(None) };
    if target == source {
        return Ok(None);
    }
    let present = files.read(&target, MAX_BYTES).ok().flatten();
    if present.as_deref() == Some(token.as_slice()) {
        return Ok(None);
    }
    files.write(&target, &token).map_err(|error| failed("writing", &target, &error))?;
    Ok(Some(target))
}
