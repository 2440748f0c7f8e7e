//! Acting as somebody else (`kubectl --as`): an administrator may, and has that user's rights then.
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>

use std::sync::Arc;

use gantry_model::Status;
use gantry_model::status::Reason;
use http::request::Parts;

use crate::access::{self, Attributes};
use crate::auth::User;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
/// All of them: also those of which nothing is made here (`-uid`, `-extra-…`), since whoever sends them means something.
const PREFIX: &str = "impersonate-";

/// The user whose rights hold for a request that this one sent.
pub(crate) fn effective(head: &Parts, user: Arc<User>) -> Result<Arc<User>, Status> {
    if !head.headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
        return Ok(user);
    }
    let texts = |name: &str| head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let Some(name) = texts(USER).next().filter(|name| !name.is_empty()) else {
        let message = "Impersonate-Group, -Uid and -Extra need an Impersonate-User beside them";
        return Err(Status::new(Reason::BadRequest, message));
    };
    if !user.is_admin() {
        let asked = Attributes { verb: "impersonate", plural: "users", name, ..Attributes::default() };
        return Err(access::forbidden(&user, &asked));
    }
    Ok(Arc::new(User::new(name, texts(GROUP).map(str::to_owned))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acting(user: User, headers: &[(&str, &str)]) -> Result<Arc<User>, Status> {
        let request =
            headers.iter().fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
        effective(&request.body(()).unwrap().into_parts().0, Arc::new(user))
    }

    #[test]
    fn administrators_act_as_others_with_no_more_than_their_rights() {
        let admin = || User::new("root", ["system:masters".to_owned()]);
        let bob =
            acting(admin(), &[("Impersonate-User", "bob"), ("Impersonate-Group", "dev"), ("Impersonate-Group", "ops")]);
        let bob = bob.unwrap();
        assert_eq!((bob.name.as_str(), bob.is_admin()), ("bob", false));
        assert!(bob.in_group("dev") && bob.in_group("ops") && bob.in_group("system:authenticated"));
        assert!(acting(admin(), &[]).unwrap().is_admin());
        for (user, headers, reason) in [
            (User::new("eve", []), vec![("Impersonate-User", "root")], Reason::Forbidden),
            (admin(), vec![("Impersonate-Group", "dev")], Reason::BadRequest),
            (admin(), vec![("Impersonate-Extra-Scopes", "x")], Reason::BadRequest),
            (admin(), vec![("Impersonate-User", "")], Reason::BadRequest),
        ] {
            assert_eq!(acting(user, &headers).unwrap_err().reason, reason, "{headers:?}");
        }
    }
}
