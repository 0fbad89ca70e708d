//! Who asks: a user by password or API key (`Basic` and `XREST` alike), or by the client certificate of the
//! connection. Never says why it refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use super::engine::Engine;
use super::store::Object;
use crate::http::PeerCertificate;

/// Milliseconds that an API key is valid: the real VSD's `APIKeyValidity`.
const VALIDITY: u64 = 86_400_000;
/// Milliseconds before its end that a login renews a key: the real VSD's `APIKeyRenewalInterval`.
const RENEWAL: u64 = 300_000;

/// An API key: it belongs to a user, not to a login.
#[derive(Clone, Debug)]
pub(super) struct Key {
    secret: String,
    /// Milliseconds since 1970 from which it is refused.
    expiry: u64,
}

/// How a password is kept: the hexadecimal SHA-1 of it, which is also what the Python client sends.
pub(super) fn digest(password: &str) -> String {
    if password.len() == 40 && password.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return password.to_ascii_lowercase();
    }
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    Sha1::digest(password).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The user who asks, or `None`. A certificate is enough: its common name is the user's name.
pub(super) fn identify(engine: &Engine, headers: &HeaderMap, peer: Option<&PeerCertificate>) -> Option<Uuid> {
    let user = match peer {
        Some(peer) => by_certificate(engine, peer),
        None => by_secret(engine, headers),
    }?;
    let disabled = engine.field(user, "disabled").as_bool().unwrap_or(false);
    (!disabled).then_some(user.id)
}

fn by_certificate<'a>(engine: &'a Engine, peer: &PeerCertificate) -> Option<&'a Object> {
    let ids = engine.store.valued("user", "userName", &peer.common_name);
    let mut users = ids.iter().filter_map(|id| engine.store.get(*id));
    users.find(|user| !engine.field(user, "disableCertificateAuth").as_bool().unwrap_or(false))
}

fn by_secret<'a>(engine: &'a Engine, headers: &HeaderMap) -> Option<&'a Object> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !["basic", "xrest"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, secret) = decoded.split_once(':')?;
    let organization = headers.get("x-nuage-organization")?.to_str().ok()?;
    let ids = engine.store.valued("user", "userName", name);
    let user = ids.iter().filter_map(|id| engine.store.get(*id)).find(|user| {
        let enterprise = engine.store.ancestor(user, "enterprise");
        let name = enterprise.and_then(|enterprise| enterprise.text("name"));
        name.is_some_and(|name| name.eq_ignore_ascii_case(organization))
    })?;
    let password = !engine.field(user, "disablePasswordAuth").as_bool().unwrap_or(false)
        && user.text("password").is_some_and(|kept| kept == digest(secret));
    (password || holds_key(engine, user, secret)).then_some(user)
}

fn holds_key(engine: &Engine, user: &Object, secret: &str) -> bool {
    let now = engine.clock.now();
    let mut keys = engine.keys.get(&user.id).into_iter().flatten();
    keys.any(|key| key.secret == secret && now < key.expiry)
}

/// The user's key and its expiry. The same at each login until it nears its end; the old one stays valid until
/// then.
pub(super) fn key(engine: &mut Engine, user: Uuid) -> (String, u64) {
    let now = engine.clock.now();
    let keys = engine.keys.entry(user).or_default();
    keys.retain(|key| now < key.expiry);
    match keys.last() {
        Some(key) if now + RENEWAL < key.expiry => (key.secret.clone(), key.expiry),
        _ => {
            let key = Key { secret: engine.entropy.uuid().to_string(), expiry: now + VALIDITY };
            keys.push(key.clone());
            (key.secret, key.expiry)
        }
    }
}
