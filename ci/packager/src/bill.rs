//! The bill of materials: `CycloneDX` 1.6, every crate that the executables are linked from with its version, licence and
//! checksum, from `cargo metadata` and Cargo.lock. Nothing is looked up anywhere.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::Error;
use crate::{Order, Version, contents, read};

/// The packages of this workspace that executables are shipped of.
const SHIPPED: &[&str] = &["nuage-cni", "nuage-emulator", "nuage-harness"];

/// The file's name.
pub fn file_name(version: &Version) -> String {
    format!("nuage-cni-{}.cdx.json", version.given())
}

/// The bill, as JSON text.
///
/// # Errors
/// Metadata that are not what cargo writes.
pub fn of_materials(order: &Order) -> Result<String, Error> {
    let metadata = read(&order.metadata)?;
    let metadata: Value =
        serde_json::from_slice(&metadata).map_err(|error| wrong("cargo metadata", &error))?;
    let checksums = checksums(order)?;
    let packages: BTreeMap<&str, &Value> = list(&metadata, "/packages")?
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let links: BTreeMap<&str, BTreeSet<&str>> = list(&metadata, "/resolve/nodes")?
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, linked(node))))
        .collect();
    let roots = packages.iter().filter(|(_, package)| SHIPPED.iter().any(|name| package["name"] == *name));
    let roots: BTreeSet<&str> = roots.map(|(id, _)| *id).collect();
    if roots.len() != SHIPPED.len() {
        return Err(wrong("cargo metadata", &"lacks packages of this workspace"));
    }
    let reached = reach(&roots, &links);
    let references: BTreeMap<&str, String> =
        reached.iter().filter_map(|id| Some((*id, reference(packages.get(id)?)))).collect();
    let components: BTreeMap<&String, Value> = references
        .iter()
        .filter_map(|(id, reference)| Some((reference, component(packages.get(id)?, reference, &checksums))))
        .collect();
    let dependencies: BTreeMap<&String, Value> = references
        .iter()
        .map(|(id, reference)| {
            let on: BTreeSet<&String> =
                links.get(id).into_iter().flatten().filter_map(|other| references.get(other)).collect();
            (reference, json!({"ref": reference, "dependsOn": on}))
        })
        .collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": Timestamp::from_second(order.epoch.into()).unwrap_or_default().to_string(),
            "component": {
                "type": "application",
                "name": "nuage-cni",
                "version": order.version.given(),
                "licenses": [{"expression": contents::LICENSE_NAME}],
            },
        },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies.into_values().collect::<Vec<_>>(),
    });
    Ok(format!("{bill:#}\n"))
}

fn wrong(what: &str, problem: &dyn std::fmt::Display) -> Error {
    Error::Metadata { what: what.to_owned(), problem: problem.to_string() }
}

fn list<'a>(metadata: &'a Value, pointer: &str) -> Result<&'a Vec<Value>, Error> {
    metadata
        .pointer(pointer)
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("cargo metadata", &format!("has no {pointer}")))
}

/// What a package is linked with: neither what only builds it nor what only tests it.
fn linked(node: &Value) -> BTreeSet<&str> {
    let normal = |dependency: &&Value| {
        let kinds = dependency["dep_kinds"].as_array();
        kinds.is_none_or(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    node["deps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(normal)
        .filter_map(|found| found["pkg"].as_str())
        .collect()
}

fn reach<'a>(roots: &BTreeSet<&'a str>, links: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = roots.iter().copied().collect();
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            next.extend(links.get(id).into_iter().flatten());
        }
    }
    reached
}

/// The package URL of a crate (purl-spec, type cargo).
fn reference(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    format!("pkg:cargo/{}@{}", text("name"), text("version").replace('+', "%2B"))
}

fn component(package: &Value, reference: &str, checksums: &BTreeMap<(String, String), String>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference,
        "purl": reference,
        "name": package["name"],
        "version": package["version"],
    });
    // Some crates still have the slash that SPDX replaced by OR.
    if let Some(license) = package["license"].as_str() {
        component["licenses"] = json!([{"expression": license.replace('/', " OR ").replace("  ", " ")}]);
    }
    let key = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    if let Some(checksum) = checksums.get(&(key("name"), key("version"))) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

/// The checksums of Cargo.lock by name and version; packages of this workspace have none.
fn checksums(order: &Order) -> Result<BTreeMap<(String, String), String>, Error> {
    let text = String::from_utf8(read(&order.lock)?).map_err(|error| wrong("Cargo.lock", &error))?;
    let lock: toml::Table = text.parse().map_err(|error| wrong("Cargo.lock", &error))?;
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let entry = |package: &toml::Value| {
        let text = |key: &str| Some(package.get(key)?.as_str()?.to_owned());
        Some(((text("name")?, text("version")?), text("checksum")?))
    };
    Ok(packages.filter_map(entry).collect())
}
