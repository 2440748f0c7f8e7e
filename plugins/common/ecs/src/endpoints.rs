//! Services of AWS that `controller-ecs` asks where a task or a deployment needs them: where each is, as its configuration says.

use serde::Deserialize;

/// Such a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aws {
    /// Alarms of deployments.
    CloudWatch,
    /// Files with variables.
    S3,
    /// Secrets.
    SecretsManager,
    /// Secrets that are parameters.
    Ssm,
}

/// Where they are: `https://ssm.eu-west-1.amazonaws.com`, or empty for what nobody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoints {
    /// That of CloudWatch.
    pub cloudwatch: String,
    /// That of S3; buckets are in the path.
    pub s3: String,
    /// That of Secrets Manager.
    pub secretsmanager: String,
    /// That of Systems Manager.
    pub ssm: String,
}

impl Aws {
    /// The option with its endpoint.
    pub fn option(self) -> &'static str {
        match self {
            Self::CloudWatch => "cloudwatch",
            Self::S3 => "s3",
            Self::SecretsManager => "secretsmanager",
            Self::Ssm => "ssm",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::CloudWatch => "Amazon CloudWatch",
            Self::S3 => "Amazon S3",
            Self::SecretsManager => "AWS Secrets Manager",
            Self::Ssm => "AWS Systems Manager",
        }
    }
}

impl Endpoints {
    /// Where a service is, without a slash at the end; none: nobody asks it.
    pub fn of(&self, aws: Aws) -> Option<&str> {
        let given = match aws {
            Aws::CloudWatch => &self.cloudwatch,
            Aws::S3 => &self.s3,
            Aws::SecretsManager => &self.secretsmanager,
            Aws::Ssm => &self.ssm,
        };
        let given = given.trim_end_matches('/');
        (!given.is_empty()).then_some(given)
    }

    /// What is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |of: &Aws| self.of(*of).is_some_and(|at| !at.starts_with("https://") && !at.starts_with("http://"));
        match [Aws::CloudWatch, Aws::S3, Aws::SecretsManager, Aws::Ssm].iter().find(|of| wrong(of)) {
            Some(of) => Err(format!("endpoints.{} is no URL", of.option())),
            None => Ok(()),
        }
    }
}

/// An endpoint as the host writes it: in lower case, without the port that its scheme has.
pub fn origin(endpoint: &str) -> String {
    let text = endpoint.trim_end_matches('/').to_ascii_lowercase();
    let usual = if text.starts_with("https:") { ":443" } else { ":80" };
    text.strip_suffix(usual).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_or_none() {
        let endpoints = Endpoints { ssm: "https://ssm.example/".into(), ..Endpoints::default() };
        assert_eq!((endpoints.of(Aws::Ssm), endpoints.of(Aws::S3)), (Some("https://ssm.example"), None));
        assert_eq!(endpoints.check(), Ok(()));
        let wrong = Endpoints { s3: "s3.example".into(), ..Endpoints::default() };
        assert_eq!(wrong.check(), Err("endpoints.s3 is no URL".to_owned()));
    }

    #[test]
    fn one_place_is_written_one_way() {
        for (given, want) in [
            ("https://A.example:443/", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("https://a.example:80", "https://a.example:80"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ] {
            assert_eq!(origin(given), want);
        }
    }
}
