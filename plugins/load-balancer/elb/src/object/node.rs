//! `v1` Node: which instance it is.

pub use gantry_sdk::api::Node;

/// The instance behind `spec.providerID`, which is `aws:///eu-west-1a/i-0123456789abcdef0`.
pub fn instance(provider: &str) -> Option<&str> {
    let rest = provider.strip_prefix("aws://")?;
    rest.rsplit('/').next().filter(|id| id.starts_with("i-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_instances_of_aws_are_some() {
        for (provider, want) in [
            ("aws:///eu-west-1a/i-0123", Some("i-0123")),
            ("aws://i-0123", Some("i-0123")),
            ("gce://project/zone/i-0123", None),
            ("aws:///eu-west-1a/fargate-1", None),
            ("", None),
        ] {
            assert_eq!(instance(provider), want, "{provider}");
        }
    }
}
