//! `emulator vsc`: a controller alone, for a real ovsdb-server.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

use super::{End, say};
use crate::error::Error;
use crate::http::{TlsIdentity, remote};
use crate::pki::Pki;
use crate::up::directory::write_secret;
use crate::vsc::{Connecting, Controller, Stream};

/// The user that controllers have in the VSD.
const USER: (&str, &str) = ("csproot", "csp");
const API: &str = "v6";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The switch's OVSDB: unix:PATH or tcp:HOST:PORT. Rows that a VRS has are made if they are missing
    #[arg(long, value_name = "ENDPOINT")]
    vrs: String,
    /// Directory of the emulator whose VSD is used
    #[arg(long, value_name = "DIR", conflicts_with_all = ["vsd", "ca", "cert", "key"], required_unless_present = "vsd")]
    dir: Option<PathBuf>,
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

pub(super) async fn run(arguments: Arguments) -> Result<(), Error> {
    let (url, identity) = match (&arguments.dir, &arguments.vsd) {
        (Some(directory), _) => of_directory(directory)?,
        (None, Some(url)) => (url.clone(), given(&arguments)?),
        (None, None) => return Err(Error::Usage("--dir or --vsd is needed".to_owned())),
    };
    let http = remote(&identity).map_err(|error| Error::Client(error.to_string()))?;
    let controller = Controller::new(http, &format!("{}/{API}", url.trim_end_matches('/'))).preparing();
    let endpoint = arguments.vrs;
    let connect = || connect(endpoint.clone());
    // A switch that cannot be reached at all is a mistake of the call; later it may come and go.
    connect().await.map_err(|source| Error::File { path: endpoint.clone().into(), source })?;
    let end = End::new()?;
    say("ready");
    tokio::select! {
        biased;
        () = end.wait() => Ok(()),
        never = controller.run(connect) => match never {},
    }
}

fn connect(endpoint: String) -> Connecting {
    Box::pin(async move {
        Ok(match endpoint.strip_prefix("tcp:") {
            Some(address) => Box::new(TcpStream::connect(address).await?) as Box<dyn Stream>,
            None => Box::new(UnixStream::connect(endpoint.strip_prefix("unix:").unwrap_or(&endpoint)).await?),
        })
    })
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
    // Kept beside the authority, for whoever wants to look at the VSD with the controller's eyes.
    write_secret(&directory.join("pki/vsc.pem"), client.certificate.as_bytes())?;
    write_secret(&directory.join("pki/vsc.key"), client.key.as_bytes())?;
    let identity = TlsIdentity {
        authorities: pki.authority.into_bytes(),
        client: Some((client.certificate.into_bytes(), client.key.into_bytes())),
    };
    Ok((url.to_owned(), identity))
}

fn given(arguments: &Arguments) -> Result<TlsIdentity, Error> {
    let file = |path: &Option<PathBuf>, flag: &str| {
        let path = path.as_deref().ok_or_else(|| Error::Usage(format!("{flag} is needed beside --vsd")))?;
        read(path)
    };
    Ok(TlsIdentity {
        authorities: file(&arguments.ca, "--ca")?,
        client: Some((file(&arguments.cert, "--cert")?, file(&arguments.key, "--key")?)),
    })
}
