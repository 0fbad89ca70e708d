//! What stands in for links where there is no Linux: everything is refused.

use std::path::Path;

use async_trait::async_trait;
use ipnet::IpNet;

use crate::host::{Link, LinkError, Links, Netns, Route, VethPair};

/// Links of a kernel that has none of ours.
#[derive(Debug, Default)]
pub struct KernelLinks;

#[async_trait]
impl Links for KernelLinks {
    async fn open_netns(&self, _path: &Path) -> Result<Netns, LinkError> {
        Err(LinkError::Unsupported)
    }
    async fn find(&self, _netns: Option<&Netns>, _name: &str) -> Result<Option<Link>, LinkError> {
        Err(LinkError::Unsupported)
    }
    async fn create_veth(&self, _netns: &Netns, _pair: &VethPair) -> Result<String, LinkError> {
        Err(LinkError::Unsupported)
    }
    async fn configure(
        &self,
        _netns: &Netns,
        _name: &str,
        _addresses: &[IpNet],
        _routes: &[Route],
    ) -> Result<(), LinkError> {
        Err(LinkError::Unsupported)
    }
    async fn delete(&self, _name: &str) -> Result<bool, LinkError> {
        Err(LinkError::Unsupported)
    }
    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        Err(LinkError::Unsupported)
    }
}

/// The loopback device of a namespace that does not exist here.
pub(crate) mod loopback {
    use crate::host::{LinkError, Netns};

    pub(crate) const NAME: &str = "lo";

    #[expect(clippy::unused_async, reason = "the signature of the one for Linux")]
    pub(crate) async fn set(_netns: &Netns, _up: bool) -> Result<(), LinkError> {
        Err(LinkError::Unsupported)
    }
}
