//! Who asks: a user by password or API key (`Basic` and `XREST` alike), or by the client certificate of the
//! connection; and for whom. Never says why it refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use super::access::Caller;
use super::engine::Engine;
use super::error::Refusal;
use super::settings::Settings;
use super::store::Object;
use crate::http::{PeerCertificate, PeerOrganization};

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

/// The user that a request comes from, `None` if nobody is known by what it carries. A verified certificate alone
/// decides where there is one: clients then send no header, or one with an empty secret.
pub(super) fn identify(engine: &Engine, headers: &HeaderMap, extensions: &Extensions) -> Option<Uuid> {
    let user = match extensions.get::<PeerCertificate>() {
        Some(peer) => by_certificate(engine, peer, extensions.get::<PeerOrganization>()),
        None => by_secret(engine, headers),
    }?;
    (!barred(engine, user)).then_some(user.id)
}

/// The user that a request acts as: another one where `X-Nuage-ProxyUser: user@enterprise` says so and the one who
/// sends it may.
///
/// # Errors
/// 403 for who may not; 401 for a user that is not known.
pub(super) fn acting(engine: &Engine, headers: &HeaderMap, user: Uuid) -> Result<Uuid, Refusal> {
    let Some(proxied) = headers.get("x-nuage-proxyuser").and_then(|value| value.to_str().ok()) else {
        return Ok(user);
    };
    if !Caller::of(&engine.store, user).manages_machines() {
        return Err(Refusal::denied(
            http::StatusCode::FORBIDDEN,
            "Permission denied",
            "You have no permission to act as another user.".to_owned(),
        ));
    }
    let found = proxied.rsplit_once('@').and_then(|(name, enterprise)| named(engine, name, enterprise));
    let found = found.filter(|user| !barred(engine, user)).map(|user| user.id);
    found.ok_or_else(|| Refusal::unauthorized("There is no such user."))
}

/// Whether a user may not come in whatever they know.
fn barred(engine: &Engine, user: &Object) -> bool {
    let is = |object: &Object, name: &str| engine.field(object, name).as_bool().unwrap_or(false);
    let groups = engine.store.members(user.id, "group").iter().filter_map(|id| engine.store.get(*id));
    let restricted = |group: &Object| {
        let from = engine.field(group, "restrictionDate").as_f64().unwrap_or(0.0);
        // Milliseconds since 1970 are far below where a float loses whole numbers.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        let now = engine.clock.now() as f64;
        is(group, "accountRestrictions") && from <= now
    };
    is(user, "disabled") || groups.into_iter().any(restricted)
}

/// The user of the certificate's common name in the enterprise that is its organisation; in any enterprise where the
/// certificate names none.
fn by_certificate<'a>(
    engine: &'a Engine,
    peer: &PeerCertificate,
    organization: Option<&PeerOrganization>,
) -> Option<&'a Object> {
    let user = if let Some(organization) = organization {
        named(engine, &peer.common_name, &organization.0)
    } else {
        let ids = engine.store.valued("user", "userName", &peer.common_name);
        ids.iter().find_map(|id| engine.store.get(*id))
    }?;
    (!engine.field(user, "disableCertificateAuth").as_bool().unwrap_or(false)).then_some(user)
}

fn by_secret<'a>(engine: &'a Engine, headers: &HeaderMap) -> Option<&'a Object> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !["basic", "xrest"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, secret) = decoded.split_once(':')?;
    let user = named(engine, name, headers.get("x-nuage-organization")?.to_str().ok()?)?;
    let password = || {
        !engine.field(user, "disablePasswordAuth").as_bool().unwrap_or(false)
            && user.text("password").is_some_and(|kept| kept == digest(secret))
    };
    // The key first: nearly every request has one, and it needs no digest.
    (holds_key(engine, user, secret) || password()).then_some(user)
}

/// A user by name and by the name of the enterprise, which is compared without regard to case.
fn named<'a>(engine: &'a Engine, name: &str, enterprise: &str) -> Option<&'a Object> {
    let ids = engine.store.valued("user", "userName", name);
    ids.iter().filter_map(|id| engine.store.get(*id)).find(|user| {
        let found = engine.store.ancestor(user, "enterprise").and_then(|found| found.text("name"));
        found.is_some_and(|found| found.eq_ignore_ascii_case(enterprise))
    })
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
    let Settings { key_validity, key_renewal, .. } = Settings::of(engine);
    let keys = engine.keys.entry(user).or_default();
    keys.retain(|key| now < key.expiry);
    match keys.last() {
        Some(key) if now + key_renewal < key.expiry => (key.secret.clone(), key.expiry),
        _ => {
            let key = Key { secret: engine.entropy.uuid().to_string(), expiry: now + key_validity };
            keys.push(key.clone());
            (key.secret, key.expiry)
        }
    }
}
