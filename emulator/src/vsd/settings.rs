//! The settings that the VSD itself obeys: attributes of its only `systemconfig`, which an operator may change.
//! Never a constant of its own: limits and defaults stand in the model.

use serde_json::Value;

use super::engine::Engine;

/// What the system configuration says now.
pub(super) struct Settings {
    /// Milliseconds that an API key is valid.
    pub(super) key_validity: u64,
    /// Milliseconds before its end in which a login renews a key.
    pub(super) key_renewal: u64,
    /// Milliseconds that a deleted machine is kept that does not say so itself.
    pub(super) purge_after: u64,
    /// Milliseconds that a machine is kept which no hypervisor has.
    pub(super) cleanup_after: u64,
    /// Objects on a page where a client names no number.
    pub(super) page_size: usize,
    /// The most objects on a page.
    pub(super) largest_page: usize,
    /// The most objects of a list without pages.
    pub(super) largest_response: usize,
}

impl Settings {
    /// As stored, or the model's defaults where there is no configuration.
    pub(super) fn of(engine: &Engine) -> Self {
        let stored = engine.store.all("systemconfig").iter().next().and_then(|id| engine.store.get(*id));
        let facts = engine.model.entity("systemconfig").map(|(_, facts)| facts);
        let number = |name: &str| {
            let value = stored.and_then(|config| config.values.get(name));
            let default = || facts.and_then(|facts| facts.attribute(name)).map(|(_, facts)| &facts.default);
            value.or_else(default).and_then(Value::as_u64).unwrap_or_default()
        };
        let size = |name| usize::try_from(number(name)).unwrap_or(usize::MAX);
        Self {
            key_validity: number("APIKeyValidity") * 1_000,
            key_renewal: number("APIKeyRenewalInterval") * 1_000,
            purge_after: number("VMPurgeTime") * 1_000,
            cleanup_after: number("VMUnreachableCleanupTime") * 1_000,
            page_size: size("pageSize"),
            largest_page: size("pageMaxSize"),
            largest_response: size("maxResponse"),
        }
    }
}
