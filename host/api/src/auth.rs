//! Who asks: client certificates and bearer tokens.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use gantry_model::Status;
use gantry_model::status::Reason;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Someone whose identity is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its groups, `system:authenticated` among them.
    pub groups: Vec<String>,
    admin: bool,
    /// The same for reviewers of writes, made once.
    identity: Arc<gantry_objects::User>,
}

/// The group that may do everything.
pub const ADMINISTRATORS: &str = "system:masters";
const EVERYONE: &str = "system:authenticated";

impl User {
    /// A user of these groups; `system:authenticated` is added.
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().filter(|g| !g.is_empty()).collect();
        if !groups.iter().any(|g| g == EVERYONE) {
            groups.push(EVERYONE.to_owned());
        }
        let admin = groups.iter().any(|g| g == ADMINISTRATORS);
        let name = name.into();
        let identity = Arc::new(gantry_objects::User { name: name.clone(), groups: groups.clone() });
        Self { name, groups, admin, identity }
    }

    /// Whether it is of the group that may do everything.
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// How reviewers of writes see it.
    pub(crate) fn identity(&self) -> &Arc<gantry_objects::User> {
        &self.identity
    }

    /// Whether it is of this group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The subject of a client certificate that the TLS layer has verified: CN and O.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned);
        (!name.is_empty()).then(|| Self::new(name, groups))
    }
}

/// Proves identities from the head of a request. Asked in order, after the client certificate; the first that knows
/// the request's credentials answers for good.
pub trait Authenticator: Send + Sync + 'static {
    /// `None`: these are no credentials of mine. An error: they are, and they are wrong.
    fn authenticate(&self, head: &Parts) -> Option<Result<Arc<User>, Status>>;
}

/// Bearer tokens from a file in Kubernetes' format: `token,user,uid,"group1,group2"`, a line each.
pub struct Tokens {
    /// By digest, so that looking one up takes the same time whatever it begins with.
    users: HashMap<[u8; 32], Arc<User>>,
}

impl Tokens {
    /// Reads a token file.
    pub fn load(path: &Path) -> std::io::Result<Self> {
        Self::parse(&std::fs::read_to_string(path)?)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{}: {e}", path.display())))
    }

    /// Reads a token file's text. Empty lines and lines that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut users = HashMap::new();
        for (number, line) in text.lines().enumerate().map(|(n, l)| (n + 1, l.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut columns = line.splitn(4, ',').map(str::trim);
            let (token, name) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            if token.is_empty() || name.is_empty() {
                return Err(format!("line {number}: expected token,user,uid,\"group1,group2\""));
            }
            let groups = columns.nth(1).unwrap_or_default().trim_matches('"').split(',').map(|g| g.trim().to_owned());
            users.insert(Sha256::digest(token).into(), Arc::new(User::new(name, groups)));
        }
        Ok(Self { users })
    }
}

impl Authenticator for Tokens {
    fn authenticate(&self, head: &Parts) -> Option<Result<Arc<User>, Status>> {
        let text = head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(token.trim()).into();
        Some(self.users.get(&digest).cloned().ok_or_else(unauthorized))
    }
}

/// 401 in Kubernetes' words.
pub(crate) fn unauthorized() -> Status {
    Status::new(Reason::Unauthorized, "Unauthorized")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(tokens: &Tokens, header: Option<&str>) -> Option<Result<Arc<User>, Status>> {
        let mut request = http::Request::builder();
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        tokens.authenticate(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn tokens_name_users_and_groups() {
        let tokens = Tokens::parse("# people\n\ns3cret,ann,1,\"dev,system:masters\"\nplain,bob\n").unwrap();
        let ann = ask(&tokens, Some("Bearer s3cret")).unwrap().unwrap();
        assert_eq!((ann.name.as_str(), ann.is_admin(), ann.in_group("dev")), ("ann", true, true));
        let bob = ask(&tokens, Some("bearer plain")).unwrap().unwrap();
        assert_eq!(bob.groups, [EVERYONE]);
        assert!(!bob.is_admin());
        assert!(ask(&tokens, Some("Bearer wrong")).unwrap().is_err());
        for other in [None, Some("Basic abc"), Some("Bearer"), Some("")] {
            assert!(ask(&tokens, other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        assert!(Tokens::parse("a,b\n,c\n").err().unwrap().starts_with("line 2"));
    }
}
