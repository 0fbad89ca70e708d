//! `emulator vsc`: a controller alone, for a real ovsdb-server.

use tokio::net::{TcpStream, UnixStream};

use super::access::Access;
use super::{End, say};
use crate::error::Error;
use crate::http::remote;
use crate::up::directory::write_secret;
use crate::vsc::{Connecting, Controller, Follower, Stream};

const API: &str = "v6";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The switch's OVSDB: unix:PATH or tcp:HOST:PORT. Rows that a VRS has are made if they are missing
    #[arg(long, value_name = "ENDPOINT")]
    vrs: String,
    #[command(flatten)]
    access: Access,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Error> {
    let (url, identity) = arguments.access.open()?;
    if let (Some(directory), Some((certificate, key))) = (&arguments.access.dir, &identity.client) {
        // Kept beside the authority, for whoever wants to look at the VSD with the controller's eyes.
        write_secret(&directory.join("pki/vsc.pem"), certificate)?;
        write_secret(&directory.join("pki/vsc.key"), key)?;
    }
    let http = remote(&identity).map_err(|error| Error::Client(error.to_string()))?;
    let url = format!("{}/{API}", url.trim_end_matches('/'));
    let follower = Follower::new(http.clone(), &url);
    let controller = Controller::new(http, &url).following(&follower).preparing();
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
        never = follower.run() => match never {},
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
