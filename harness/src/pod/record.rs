//! What is known of the pods that were made here: a file each in the site's directory, written before anything is made, so that another
//! process can take away what a killed one has left.

use std::fs;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nuage_emulator::up::directory::write_secret;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::{Site, Wish};
use crate::error::Error;
use crate::world::kernel::NAMESPACES;

/// Below the site's directory.
const PLACE: &str = "pods";
const ENDING: &str = ".json";
/// No record is larger, in bytes.
const LARGEST: u64 = 64 << 10;

/// A pod that was made here.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID in the API; empty while it is not known.
    pub uid: String,
    /// Its node.
    pub node: String,
    /// Its sandbox's identifier.
    pub sandbox: String,
    /// The name of its network namespace.
    pub netns: String,
    /// Whether its object was made along with it, and goes with it.
    pub is_object_ours: bool,
    /// Its first address, once it is attached.
    pub address: Option<Ipv4Addr>,
    /// Its port on the switch, once it is attached.
    pub port: String,
    /// How long the plugin took to attach it.
    pub took: Duration,
}

/// `namespace/name`, or a name in `namespace`.
pub fn split<'a>(word: &'a str, namespace: &'a str) -> (&'a str, &'a str) {
    word.split_once('/').unwrap_or((namespace, word))
}

/// Whether a name is a DNS name, as those of pods and namespaces are: safe in a path, a URL and a command.
fn is_dns_name(name: &str, longest: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|byte| inner(*byte))
            && bytes.last().is_some_and(|byte| inner(*byte))
            && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
    };
    name.len() <= longest && name.split('.').all(is_label)
}

fn check(namespace: &str, name: &str) -> Result<(), Error> {
    // The name of its network namespace has both, and a file's name is no longer than 255 bytes.
    let right = is_dns_name(name, 150) && is_dns_name(namespace, 63) && !namespace.contains('.');
    right.then_some(()).ok_or_else(|| Error::Pod(format!("{namespace}/{name} is no pod's name")))
}

impl Record {
    /// One of a pod that is about to be made.
    pub(super) fn new(netns: &str, wish: &Wish, node: &str) -> Result<Self, Error> {
        check(&wish.namespace, &wish.name)?;
        let mut hash = Sha1::new();
        hash.update(netns);
        hash.update(std::process::id().to_be_bytes());
        // As long as a runtime's.
        let digits = format!("{:x}", hash.finalize());
        let sandbox = format!("{digits}{}", &digits[..24]);
        Ok(Self {
            namespace: wish.namespace.clone(),
            name: wish.name.clone(),
            uid: String::new(),
            node: node.to_owned(),
            sandbox,
            netns: netns.to_owned(),
            is_object_ours: false,
            address: None,
            port: String::new(),
            took: Duration::ZERO,
        })
    }

    /// Takes what the plugin answered.
    pub(super) fn read(&mut self, result: &Value) {
        let address = result["ips"][0]["address"].as_str().unwrap_or_default();
        self.address = address.split('/').next().and_then(|address| address.parse().ok());
        result["interfaces"][0]["name"].as_str().unwrap_or_default().clone_into(&mut self.port);
    }

    /// `namespace/name`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Where its network namespace is.
    pub fn netns_path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.netns)
    }

    /// Its address.
    ///
    /// # Errors
    /// It has none.
    pub fn address(&self) -> Result<Ipv4Addr, Error> {
        let hint = format!("{} is not attached: harness pod del {0}, then add it anew", self.full_name());
        self.address.ok_or(Error::Pod(hint))
    }

    /// As it is shown and kept.
    pub fn json(&self) -> Value {
        json!({
            "namespace": self.namespace, "name": self.name, "uid": self.uid, "node": self.node, "sandbox": self.sandbox,
            "netns": self.netns, "object_is_ours": self.is_object_ours, "address": self.address, "port": self.port,
            "add_seconds": self.took.as_secs_f64(),
        })
    }

    fn from_json(json: &Value) -> Option<Self> {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let record = Self {
            namespace: text("namespace")?,
            name: text("name")?,
            uid: text("uid")?,
            node: text("node")?,
            sandbox: text("sandbox")?,
            netns: text("netns")?,
            is_object_ours: json["object_is_ours"].as_bool()?,
            address: json["address"].as_str().and_then(|address| address.parse().ok()),
            port: text("port")?,
            took: Duration::try_from_secs_f64(json["add_seconds"].as_f64()?).ok()?,
        };
        // They become parts of commands.
        let is_word =
            |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        let safe = check(&record.namespace, &record.name).is_ok()
            && is_word(&record.netns)
            && !record.netns.starts_with(['-', '.'])
            && is_word(&record.sandbox);
        safe.then_some(record)
    }
}

/// The records of a site.
#[derive(Debug)]
pub struct Records(PathBuf);

impl Records {
    /// Those of this site.
    pub fn of(site: &Site) -> Self {
        Self(site.directory.join(PLACE))
    }

    fn path(&self, namespace: &str, name: &str) -> PathBuf {
        self.0.join(format!("{namespace}.{name}{ENDING}"))
    }

    /// Keeps a new one.
    ///
    /// # Errors
    /// There is one of this pod.
    pub(super) fn claim(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.namespace, &record.name);
        let failed = |source| Error::File { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(failed)?;
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let name = record.full_name();
                return Err(Error::Pod(format!(
                    "{name} is there already: harness pod del {name} takes it away"
                )));
            }
            Err(error) => return Err(failed(error)),
        };
        file.write_all(record.json().to_string().as_bytes()).map_err(failed)
    }

    /// Keeps what has become known of one.
    pub(super) fn keep(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.namespace, &record.name);
        let kept = write_secret(&path, record.json().to_string().as_bytes());
        kept.map_err(|error| Error::Pod(error.to_string()))
    }

    pub(super) fn forget(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.namespace, &record.name);
        fs::remove_file(&path).map_err(|source| Error::File { path, source })
    }

    /// That of a pod.
    ///
    /// # Errors
    /// There is none; which there are.
    pub fn get(&self, namespace: &str, name: &str) -> Result<Record, Error> {
        check(namespace, name)?;
        if let Some(record) = read(&self.path(namespace, name)) {
            return Ok(record);
        }
        let all: Vec<String> = self.all().iter().map(Record::full_name).collect();
        let hint = if all.is_empty() {
            "there is none: harness pod add NAME makes one".to_owned()
        } else {
            format!("there are {}", all.join(", "))
        };
        Err(Error::Pod(format!("{namespace}/{name} was not made by harness pod add here; {hint}")))
    }

    /// All of them, by their names.
    pub fn all(&self) -> Vec<Record> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut records: Vec<Record> = paths
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .filter_map(|path| read(&path))
            .collect();
        records.sort_by_key(Record::full_name);
        records
    }
}

fn read(path: &Path) -> Option<Record> {
    if fs::metadata(path).ok()?.len() > LARGEST {
        return None;
    }
    Record::from_json(&serde_json::from_slice(&fs::read(path).ok()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(namespace: &str, name: &str) -> Wish {
        Wish { namespace: namespace.to_owned(), name: name.to_owned(), node: None, labels: Vec::new() }
    }

    #[test]
    fn a_record_is_read_as_it_was_kept_and_one_that_names_commands_is_none() {
        let mut record = Record::new("nuage-pod-1-shop.web", &wish("shop", "web-0"), "node-1").unwrap();
        assert_eq!(record.sandbox.len(), 64);
        record.read(&json!({"ips": [{"address": "10.20.0.2/24"}], "interfaces": [{"name": "nu0"}]}));
        let again = Record::from_json(&record.json()).unwrap();
        assert_eq!((again.json(), again.address), (record.json(), Some(Ipv4Addr::new(10, 20, 0, 2))));
        for (key, value) in [("netns", "-all"), ("netns", "../x"), ("name", "../web"), ("sandbox", "a b")] {
            let mut json = record.json();
            json[key] = json!(value);
            assert!(Record::from_json(&json).is_none(), "{key} {value}");
        }
    }

    #[test]
    fn what_is_no_dns_name_is_no_pod() {
        for (namespace, name) in
            [("shop", "Web"), ("shop", ""), ("a.b", "web"), ("shop", "a/b"), ("", "web"), ("shop", "-a")]
        {
            assert!(Record::new("n", &wish(namespace, name), "node-1").is_err(), "{namespace} {name}");
        }
        assert!(check("shop", "web.v1").is_ok());
    }
}
