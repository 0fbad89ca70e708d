//! The emulator's certificates: an authority of its own in DIR/pki, used again if it is there, and what it issues. Nothing
//! else ever trusts it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Error;
use crate::up::directory::write_secret;

const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";
/// The authority's common name.
const AUTHORITY_NAME: &str = "nuage-emulator";
/// That of an authority that nobody trusts.
const UNKNOWN_NAME: &str = "nuage-emulator-unknown";

/// A certificate and its key as PEM text.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key. A secret, if only an emulator's.
    pub key: String,
}

/// The authority.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate as PEM text.
    pub authority: String,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pki")
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Certificates(error.to_string())
}

impl Pki {
    /// The authority in `directory`, made if it is not there.
    ///
    /// # Errors
    /// Files that cannot be read or written, or are no certificate and key.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let (certificate, key): (PathBuf, PathBuf) =
            (directory.join(AUTHORITY), directory.join(AUTHORITY_KEY));
        if !certificate.exists() || !key.exists() {
            let pair = KeyPair::generate().map_err(failed)?;
            let made = authority_parameters(AUTHORITY_NAME).self_signed(&pair).map_err(failed)?;
            write_secret(&key, pair.serialize_pem().as_bytes())?;
            write_secret(&certificate, made.pem().as_bytes())?;
        }
        let read = |path: &Path| std::fs::read_to_string(path).map_err(Error::file(path));
        let authority = read(&certificate)?;
        let pair = KeyPair::from_pem(&read(&key)?).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&authority, pair).map_err(failed)?;
        Ok(Self { issuer, authority })
    }

    /// Copies the authority in `from` to `directory`, where [`Pki::open`] finds it. What else is there stays.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn adopt(from: &Path, directory: &Path) -> Result<(), Error> {
        for name in [AUTHORITY_KEY, AUTHORITY] {
            let path = from.join(name);
            write_secret(&directory.join(name), &std::fs::read(&path).map_err(Error::file(&path))?)?;
        }
        Ok(())
    }

    /// An authority that is written nowhere, so that nobody can trust it.
    ///
    /// # Errors
    /// Never in practice: only if the machine has no randomness.
    pub fn unknown() -> Result<Self, Error> {
        let pair = KeyPair::generate().map_err(failed)?;
        let made = authority_parameters(UNKNOWN_NAME).self_signed(&pair).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&made.pem(), pair).map_err(failed)?;
        Ok(Self { issuer, authority: made.pem() })
    }

    /// A certificate of a server that is reached by these names, at these addresses and as localhost.
    ///
    /// # Errors
    /// A name that no certificate can hold.
    pub fn server(&self, names: &[String], addresses: &[IpAddr]) -> Result<Identity, Error> {
        let names = std::iter::once("localhost".to_owned()).chain(names.iter().cloned());
        let mut parameters = CertificateParams::new(names.collect::<Vec<_>>()).map_err(failed)?;
        parameters.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        parameters.distinguished_name.push(DnType::CommonName, "localhost");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&parameters)
    }

    /// A client's certificate: common name and organisation are whom the servers take it for.
    ///
    /// # Errors
    /// Never in practice: only if the machine has no randomness.
    pub fn client(&self, user: &str, organisation: &str) -> Result<Identity, Error> {
        let mut parameters = CertificateParams::new(Vec::new()).map_err(failed)?;
        parameters.distinguished_name.push(DnType::CommonName, user);
        parameters.distinguished_name.push(DnType::OrganizationName, organisation);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&parameters)
    }

    fn issue(&self, parameters: &CertificateParams) -> Result<Identity, Error> {
        let pair = KeyPair::generate().map_err(failed)?;
        let certificate = parameters.signed_by(&pair, &self.issuer).map_err(failed)?;
        Ok(Identity { certificate: certificate.pem(), key: pair.serialize_pem() })
    }
}

fn authority_parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

impl Identity {
    /// As rustls takes it.
    ///
    /// # Errors
    /// PEM text that is none.
    pub fn parsed(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let chain =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(failed)?;
        Ok((chain.map_err(failed)?, key))
    }
}
