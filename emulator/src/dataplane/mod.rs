//! The data plane of the emulated switches: what a node's rows and the VSD say becomes bridges, routers, tunnels and packet
//! filters of the kernel, all inside network namespaces of its own. Pure parts say what the kernel is to have, `kernel` makes
//! it so. Never touches a link, a rule or a setting of the namespace that it is started in.
//!
//! A node is a network namespace: whoever attaches containers (the plugin, a runtime) runs in there, and its ends of veth pairs
//! lie there. For each subnet in use there is a bridge, for each domain a router namespace with the gateways, for other nodes a
//! VXLAN tunnel whose neighbours and forwarding entries are set and never learnt. Anti-spoofing is a matter of the family
//! bridge; policy one of the family inet, which bridged packets reach by `br_netfilter`.

mod mac;
mod names;
mod picture;
mod plan;
mod view;
mod wanted;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod fabric;
mod filter;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod node;
#[cfg(target_os = "linux")]
mod run;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Fabric;
#[cfg(target_os = "linux")]
pub(crate) use fabric::Fabric;
