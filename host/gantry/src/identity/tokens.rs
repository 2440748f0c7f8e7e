//! Bootstrap tokens in Kubernetes' form: a Secret of `kube-system` each, `ID.SECRET` as bearer token.
//! See <https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/>.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_api::{Authenticator, User};
use gantry_model::status::Reason;
use gantry_model::{Record, Status};
use gantry_objects::Objects;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The group of those who have nothing but a token.
pub const BOOTSTRAPPERS: &str = "system:bootstrappers";
/// Where tokens lie.
pub const NAMESPACE: &str = "kube-system";
/// The type of their Secrets.
pub const TYPE: &str = "bootstrap.kubernetes.io/token";
/// What is before a token's id in the name of its user.
const USER: &str = "system:bootstrap:";
const PREFIX: &str = "bootstrap-token-";

/// The name of a token's Secret.
pub fn secret_name(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// A token's Secret. `node`: the only name that whoever has it may join as.
pub fn secret(id: &str, secret: &str, expires: Timestamp, node: Option<&str>) -> Value {
    let mut data = json!({
        "token-id": id, "token-secret": secret, "expiration": format!("{expires:.0}"),
        "usage-bootstrap-authentication": "true", "description": "lets a node join (gantry token create)",
    });
    if let (Some(node), Some(map)) = (node, data.as_object_mut()) {
        map.insert("node-name".to_owned(), json!(node));
    }
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": TYPE, "stringData": data,
        "metadata": {"name": secret_name(id), "namespace": NAMESPACE},
    })
}

/// What a token's Secret says.
pub struct Token {
    /// The public half.
    pub id: String,
    secret: String,
    /// `None`: it does not expire.
    pub expires: Option<Timestamp>,
    /// The only name that whoever has it may join as.
    pub node: Option<String>,
    usable: bool,
}

impl Token {
    /// `None`: the Secret is none of a token, or says when it expires in a way that nobody understands.
    pub fn of(secret: &Value) -> Option<Self> {
        if secret.get("type")?.as_str()? != TYPE {
            return None;
        }
        let name = secret.pointer("/metadata/name")?.as_str()?;
        let field = |name: &str| {
            let text = secret.get("data")?.get(name)?.as_str()?;
            String::from_utf8(STANDARD.decode(text).ok()?).ok()
        };
        let expires = match field("expiration") {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let id = field("token-id")?;
        (name == secret_name(&id)).then_some(())?;
        Some(Self {
            id,
            secret: field("token-secret")?,
            expires,
            node: field("node-name").filter(|name| !name.is_empty()),
            usable: field("usage-bootstrap-authentication").as_deref() == Some("true"),
        })
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Compares digests: how long that takes says nothing about the secret.
    fn proves(&self, given: &str, now: Timestamp) -> bool {
        let same = Sha256::digest(given) == Sha256::digest(&self.secret);
        same && self.usable && self.secret.len() >= 16 && !self.is_over(now)
    }
}

/// The token whose user this is, as long as it can be used.
pub fn of_user(objects: &Objects, user: &str, now: Timestamp) -> Option<Token> {
    let id = user.strip_prefix(USER)?;
    let token = Token::of(&record(objects, id)?.value())?;
    (token.usable && !token.is_over(now)).then_some(token)
}

fn record(objects: &Objects, id: &str) -> Option<Arc<Record>> {
    super::find(objects, "", "Secret", NAMESPACE, &secret_name(id))
}

/// Proves who has a token. What is no token of this kind it leaves to others.
pub struct BootstrapTokens {
    objects: Objects,
}

impl BootstrapTokens {
    /// Those among these objects.
    pub fn new(objects: Objects) -> Self {
        Self { objects }
    }

    fn user(&self, id: &str, secret: &str, now: Timestamp) -> Option<Result<Arc<User>, Status>> {
        let token = Token::of(&record(&self.objects, id)?.value())?;
        if !token.proves(secret, now) {
            return Some(Err(Status::new(Reason::Unauthorized, "Unauthorized")));
        }
        Some(Ok(Arc::new(User::new(format!("{USER}{id}"), [BOOTSTRAPPERS.to_owned()]))))
    }
}

impl Authenticator for BootstrapTokens {
    fn authenticate(&self, head: &Parts) -> Option<Result<Arc<User>, Status>> {
        let text = head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (id, secret) = token.trim().split_once('.')?;
        let plain = id.len() == 6 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        plain.then(|| self.user(id, secret, Timestamp::now())).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::testing::world;
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[tokio::test]
    async fn a_token_proves_its_user_until_it_expires() {
        let objects = world().await;
        let kind = objects.kinds().by_kind("", "Secret").unwrap();
        let object = secret("abc123", SECRET, at(1000), Some("n1"));
        objects.create(&kind, NAMESPACE, object, &Default::default()).await.unwrap();
        let tokens = BootstrapTokens::new(objects.clone());
        let user = tokens.user("abc123", SECRET, at(999)).unwrap().unwrap();
        assert_eq!(user.name, "system:bootstrap:abc123");
        assert!(user.in_group(BOOTSTRAPPERS) && !user.is_admin());
        for (secret, now) in [(SECRET, 1000), ("0123456789abcdeX", 0), ("", 0), ("0123456789abcdef0", 0)] {
            assert!(tokens.user("abc123", secret, at(now)).unwrap().is_err(), "{secret} at {now}");
        }
        assert!(tokens.user("zzz999", SECRET, at(0)).is_none());
        assert_eq!(of_user(&objects, "system:bootstrap:abc123", at(0)).unwrap().node.as_deref(), Some("n1"));
        assert!(of_user(&objects, "system:bootstrap:abc123", at(1000)).is_none());
    }

    #[test]
    fn what_is_no_token_is_none() {
        let encode = |text: &str| STANDARD.encode(text);
        let mut good = json!({
            "type": TYPE, "metadata": {"name": "bootstrap-token-abc123"},
            "data": {"token-id": encode("abc123"), "token-secret": encode(SECRET)},
        });
        // Not for authentication.
        assert!(!Token::of(&good).unwrap().proves(SECRET, at(0)));
        good["data"]["usage-bootstrap-authentication"] = json!(encode("true"));
        assert!(Token::of(&good).unwrap().proves(SECRET, at(0)));
        for (pointer, value) in [
            ("/type", json!("Opaque")),
            ("/metadata/name", json!("bootstrap-token-other1")),
            ("/data/token-secret", json!("%")),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(Token::of(&bad).is_none(), "{pointer}");
        }
        good["data"]["expiration"] = json!(encode("soon"));
        assert!(Token::of(&good).is_none());
    }
}
