//! Which VSD a verb works with, and as whom: a running emulator's by its directory, or any by its address and a
//! client certificate. Never a password.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::http::TlsIdentity;
use crate::pki::Pki;

/// The operator's root user.
const USER: (&str, &str) = ("csproot", "csp");

#[derive(Debug, clap::Args)]
pub(super) struct Access {
    /// Directory of the emulator whose VSD is used
    #[arg(long, value_name = "DIR", conflicts_with_all = ["vsd", "ca", "cert", "key"], required_unless_present = "vsd")]
    pub(super) dir: Option<PathBuf>,
    /// Base URL of a VSD that takes client certificates, like `https://127.0.0.1:7443/nuage/api`
    #[arg(long, value_name = "URL", requires_all = ["ca", "cert", "key"])]
    vsd: Option<String>,
    /// Certificate of the authority that signed the VSD's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Access {
    /// The base URL of the API, and who to be there.
    pub(super) fn open(&self) -> Result<(String, TlsIdentity), Error> {
        match (&self.dir, &self.vsd) {
            (Some(directory), _) => of_directory(directory),
            (None, Some(url)) => Ok((url.clone(), self.given()?)),
            (None, None) => Err(Error::Usage("--dir or --vsd is needed".to_owned())),
        }
    }

    fn given(&self) -> Result<TlsIdentity, Error> {
        let file = |path: &Option<PathBuf>, flag: &str| {
            let path =
                path.as_deref().ok_or_else(|| Error::Usage(format!("{flag} is needed beside --vsd")))?;
            read(path)
        };
        Ok(TlsIdentity {
            authorities: file(&self.ca, "--ca")?,
            client: Some((file(&self.cert, "--cert")?, file(&self.key, "--key")?)),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::file(path))
}

/// The VSD of a running emulator, and a certificate by its authority.
fn of_directory(directory: &Path) -> Result<(String, TlsIdentity), Error> {
    let endpoints = directory.join("endpoints.json");
    let json: Value = serde_json::from_slice(&read(&endpoints)?).unwrap_or_default();
    let url = json["vsd_cert"].as_str();
    let url = url.ok_or_else(|| Error::Usage(format!("{} names no vsd_cert", endpoints.display())))?;
    let pki = Pki::open(&directory.join("pki"))?;
    let client = pki.client(USER.0, USER.1)?;
    let identity = TlsIdentity {
        authorities: pki.authority.into_bytes(),
        client: Some((client.certificate.into_bytes(), client.key.into_bytes())),
    };
    Ok((url.to_owned(), identity))
}
