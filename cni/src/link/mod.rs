//! Links and network namespaces of a real kernel, over netlink. The only place with code that needs Linux; elsewhere every
//! operation says so.

#[cfg(target_os = "linux")]
mod announce;
#[cfg(target_os = "linux")]
pub(crate) mod loopback;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod netlink;

#[cfg(target_os = "linux")]
pub use netlink::KernelLinks;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::KernelLinks;
#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::loopback;
