//! A Debian package (deb(5)): an ar archive of the format's version, the control files and the data.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use crate::archive::{Entry, Kind, ar, gzip, tar};
use crate::contents::{Content, DESCRIPTION, Item, file_name, package as contents};
use crate::error::Error;
use crate::scriptlets;
use crate::{Format, Order, Product, Stock, lines};

/// The package: its file's name and its bytes.
///
/// # Errors
/// An executable that is not there; a path that no archive can hold.
pub fn package(product: Product, order: &Order, stock: &Stock) -> Result<(String, Vec<u8>), Error> {
    let items = contents(product, Format::Deb)?;
    let data = items.iter().map(|item| entry(item, stock)).collect::<Result<Vec<_>, _>>()?;
    let mut control = vec![
        file("control", 0o644, description(product, order, stock, &data)),
        file("md5sums", 0o644, sums(&data)),
    ];
    let configuration = items.iter().filter(|item| matches!(item.content, Content::Config(_)));
    control.push(file("conffiles", 0o644, lines("", configuration.map(|item| &item.path))));
    for (name, script) in scriptlets::deb(product, &items) {
        control.push(file(name, 0o755, script));
    }
    let control = gzip(&tar(&control, order.epoch)?)?;
    let data = gzip(&tar(&data, order.epoch)?)?;
    let members: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.gz", &control), ("data.tar.gz", &data)];
    let name = file_name(product, Format::Deb, &order.version, stock);
    Ok((name, ar(&members, order.epoch)))
}

fn file(path: &str, mode: u32, text: String) -> Entry {
    Entry { path: path.to_owned(), mode, kind: Kind::File(text.into_bytes()) }
}

fn entry(item: &Item, stock: &Stock) -> Result<Entry, Error> {
    let kind = match (item.content.bytes(&item.path, stock)?, item.content) {
        (Some(bytes), _) => Kind::File(bytes.to_vec()),
        (None, Content::Link(target)) => Kind::Link(target.to_owned()),
        (None, _) => Kind::Directory,
    };
    Ok(Entry { path: item.path.trim_start_matches('/').to_owned(), mode: item.mode, kind })
}

fn description(product: Product, order: &Order, stock: &Stock, data: &[Entry]) -> String {
    let bytes: usize =
        data.iter().map(|entry| if let Kind::File(bytes) = &entry.kind { bytes.len() } else { 0 }).sum();
    let long = lines(" ", DESCRIPTION.lines());
    format!(
        "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: nuage-cni project\nInstalled-Size: {}\n\
         Conflicts: {}\nSection: net\nPriority: optional\nDescription: {}\n{long}",
        product.name(),
        order.version.full(),
        stock.architecture.deb(),
        bytes.div_ceil(1024),
        product.conflicts().collect::<Vec<_>>().join(", "),
        product.summary(),
    )
}

/// What `dpkg --verify` compares the files with.
fn sums(data: &[Entry]) -> String {
    let mut sums = String::new();
    for entry in data {
        if let Kind::File(bytes) = &entry.kind {
            let _ = writeln!(sums, "{:x}  {}", Md5::digest(bytes), entry.path);
        }
    }
    sums
}
