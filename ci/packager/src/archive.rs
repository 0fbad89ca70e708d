//! tar, ar and gzip with every field given: the same entries are the same bytes on every machine.

use std::collections::BTreeSet;
use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::error::Error;

/// What stands in a tar archive.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A file's bytes.
    File(Vec<u8>),
    /// A symbolic link to this.
    Link(String),
    /// A directory.
    Directory,
}

/// A path with what is there.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Without a leading slash.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// A tar archive: sorted, every path's parents before it, all owned by root, all of one time.
///
/// # Errors
/// A path that no tar archive can hold.
pub fn tar(entries: &[Entry], epoch: u32) -> Result<Vec<u8>, Error> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    let mut builder = Builder::new(Vec::new());
    let mut known: BTreeSet<String> = BTreeSet::new();
    for entry in sorted {
        for (end, _) in entry.path.match_indices('/') {
            let parent = entry.path.get(..end).unwrap_or_default();
            if known.insert(parent.to_owned()) {
                append(&mut builder, &format!("{parent}/"), 0o755, &Kind::Directory, epoch)?;
            }
        }
        known.insert(entry.path.clone());
        let slash = if matches!(entry.kind, Kind::Directory) { "/" } else { "" };
        append(&mut builder, &format!("{}{slash}", entry.path), entry.mode, &entry.kind, epoch)?;
    }
    builder.into_inner().map_err(Error::Archive)
}

fn append(
    builder: &mut Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    kind: &Kind,
    epoch: u32,
) -> Result<(), Error> {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root").map_err(Error::Archive)?;
    header.set_groupname("root").map_err(Error::Archive)?;
    header.set_mtime(epoch.into());
    header.set_size(0);
    let done = match kind {
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            builder.append_data(&mut header, path, &[][..])
        }
        Kind::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, path, target)
        }
        Kind::File(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, &bytes[..])
        }
    };
    done.map_err(Error::Archive)
}

/// Compressed, without a name and a time.
///
/// # Errors
/// None in memory; the type asks for it.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(Error::Archive)
}

/// An ar archive in the form that dpkg reads (deb(5)): names without a slash, all owned by root, all of one time.
pub fn ar(members: &[(&str, &[u8])], epoch: u32) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let header = format!("{name:<16}{epoch:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, "100644", bytes.len());
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}
