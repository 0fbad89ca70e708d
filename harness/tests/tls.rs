//! The plugin's own HTTP client against a server of the emulator: it talks to the server that it was told to trust, and to
//! no other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::process::Command;

use bytes::Bytes;
use nuage_cni::host::TlsIdentity;
use nuage_cni::node;
use serde_json::Value;
use support::site::Site;
use tower::ServiceExt as _;

/// Prints the SHA-256 of the certificate that a server presents.
const FINGERPRINT: &str = "
import hashlib, ssl, sys
pem = ssl.get_server_certificate((sys.argv[1], int(sys.argv[2])))
print(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest())
";

/// What comes of asking `url` for its versions: the status, or what went wrong.
async fn ask(identity: &TlsIdentity, url: &str) -> Result<u16, String> {
    let service = node::host().http.client(identity).map_err(|error| error.to_string())?;
    let request = http::Request::get(format!("{url}/version")).body(Bytes::new()).unwrap();
    let told = |error: nuage_cni::host::BoxError| {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        text
    };
    service.oneshot(request).await.map(|response| response.status().as_u16()).map_err(told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_verified_by_its_authority_or_by_its_pinned_certificate_and_never_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let (root, other) = (directory.path().join("site"), directory.path().join("other"));
    let emulators = [Site::emulator(&root, &["--only", "kube"]), Site::emulator(&other, &["--only", "kube"])];
    let endpoints: Value =
        serde_json::from_slice(&std::fs::read(root.join("endpoints.json")).unwrap()).unwrap();
    let url = endpoints["kube"].as_str().unwrap();
    let trusting =
        |authorities: Vec<u8>, pinned_sha256| TlsIdentity { authorities, client: None, pinned_sha256 };
    let authority = std::fs::read(root.join("pki/ca.pem")).unwrap();
    let foreign = std::fs::read(other.join("pki/ca.pem")).unwrap();

    // Without credentials the server refuses, but by then it is known who it is.
    let status = ask(&trusting(authority.clone(), None), url).await.unwrap();
    assert!((200..500).contains(&status), "{status}");
    let error = ask(&trusting(foreign, None), url).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    let error = ask(&trusting(Vec::new(), None), url).await.unwrap_err();
    assert!(error.contains("no certificate authority"), "{error}");

    let (host, port) = url.strip_prefix("https://").unwrap().split_once(':').unwrap();
    let printed = Command::new("python3").args(["-c", FINGERPRINT, host, port]).output().unwrap();
    let hex = String::from_utf8(printed.stdout).unwrap();
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let mut fingerprint: [u8; 32] = bytes.try_into().unwrap();
    assert_eq!(ask(&trusting(Vec::new(), Some(fingerprint)), url).await.unwrap(), status);
    fingerprint[0] ^= 1;
    let error = ask(&trusting(authority, Some(fingerprint)), url).await.unwrap_err();
    assert!(error.contains("nuageMonServerFingerprint"), "{error}");
    emulators.into_iter().for_each(support::Process::terminate);
}
