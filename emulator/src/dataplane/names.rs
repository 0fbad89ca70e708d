//! What the data plane calls what it makes: namespaces, by the site's directory, so that several sites run on one machine and
//! what a killed one has left is known again; links, by the number of their subnet. Names alone, never whether they are there.

use std::path::Path;

use sha1::{Digest as _, Sha1};

/// What the namespaces of a site begin with.
pub(super) fn site(directory: &Path) -> String {
    let digest = Sha1::digest(directory.as_os_str().as_encoded_bytes());
    let [a, b, c, d] = [digest[0], digest[1], digest[2], digest[3]];
    format!("nuage-{a:02x}{b:02x}{c:02x}{d:02x}-")
}

/// The namespace that is a node.
pub(super) fn node(site: &str, node: &str) -> String {
    format!("{site}{node}")
}

/// The namespace that joins the nodes.
pub(super) fn wire(site: &str) -> String {
    format!("{site}wire")
}

/// The namespace that routes a domain on the node of that namespace.
pub(super) fn router(node: &str, domain: u32) -> String {
    format!("{node}-domain-{domain}")
}

/// A subnet's bridge.
pub(super) fn bridge(subnet: u32) -> String {
    format!("br{subnet}")
}

/// The bridge's end of the link to the router.
pub(super) fn router_port(subnet: u32) -> String {
    format!("rp{subnet}")
}

/// The router's end of that link.
pub(super) fn gateway(subnet: u32) -> String {
    format!("gw{subnet}")
}

/// The tunnel to the subnet's part on other nodes.
pub(super) fn tunnel(subnet: u32) -> String {
    format!("vx{subnet}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_every_name_of_a_link_and_sites_do_not_share_namespaces() {
        for name in [bridge(u32::MAX), router_port(u32::MAX), gateway(u32::MAX), tunnel(u32::MAX)] {
            assert!(name.len() < 16, "{name}");
        }
        assert_ne!(site(Path::new("/a")), site(Path::new("/b")));
        assert_eq!(
            router(&node(&site(Path::new("/a")), "node-1"), 7).len(),
            "nuage-01234567-node-1-domain-7".len()
        );
    }
}
