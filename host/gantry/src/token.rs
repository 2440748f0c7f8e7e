//! `gantry token`: what lets machines join.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use gantry_model::Status;
use gantry_model::status::Reason;
use gantry_node::cluster::remote::{self, Body, Client, Place};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::access::{Access, Kubeconfig, Token};
use crate::{files, identity};

const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token with which machines can join as nodes until it expires.
    ///
    /// The file holds the token and the digest of the server's authority, so that a machine knows whom it talks to. Bring
    /// it there on a way that you trust.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// List the tokens that there are. What they must prove is not shown.
    List(Server),
    /// Remove a token: nobody can join with it any more. Nodes that have joined stay.
    Revoke(Revoke),
}

const CREATE_EXAMPLES: &str = "Examples:
  gantry token create --output node.token
  gantry token create --node worker-1 --ttl 10m --output worker-1.token
  gantry agent --server https://api.example.com:6443 --token worker-1.token --node-name worker-1";

/// How the server is reached: as its administrator.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The administrator's kubeconfig. By default `kubeconfig` in the server's data directory.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The server's data directory.
    #[arg(long, default_value = "gantry-data", value_name = "FOLDER")]
    data_dir: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub struct Create {
    /// How long it is good for: a number with s, m, h or d.
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = span)]
    ttl: SignedDuration,
    /// The only name that a machine may join as with it. By default any that is free.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Where to write it, readable for the owner only. By default it is printed.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

#[derive(Args, Clone, Debug)]
pub struct Revoke {
    /// Its id, as `gantry token list` shows it: what is before the dot.
    id: String,
    #[command(flatten)]
    server: Server,
}

impl TokenCommand {
    pub async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List(server) => list(&server).await,
            Self::Revoke(revoke) => revoke.run().await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Server {
    fn access(&self) -> Result<Access> {
        let file = self.kubeconfig.clone().unwrap_or_else(|| self.data_dir.join("kubeconfig"));
        Kubeconfig::read(&file)?.access(None)
    }
}

fn client(access: &Access) -> Result<Client> {
    Ok(Client::new(remote::Options { server: access.server.clone(), tls: access.tls.clone(), bearer: None })?)
}

fn secrets() -> Result<Place, Status> {
    Place::list("", "v1", identity::NAMESPACE, "secrets")
}

impl Create {
    async fn run(self) -> Result<()> {
        if let Some(node) = &self.node {
            let wrong = gantry_model::validate::names::dns_subdomain(node);
            ensure!(wrong.is_empty(), "--node {node:?} can't be the name of a node: {}", wrong.join("; "));
        }
        let access = self.server.access()?;
        let authority = access.authority.strip_prefix("sha256:").unwrap_or(&access.authority).to_owned();
        let (id, secret) = (random(6), random(16));
        let expires = Timestamp::now().checked_add(self.ttl).context("--ttl is too long")?;
        let object = identity::secret(&id, &secret, expires, self.node.as_deref());
        let made = client(&access)?.ask(Method::POST, &secrets()?, &[], Body::Object(object)).await;
        made.context("can't make a token")?;
        let token = Token { bearer: format!("{id}.{secret}"), authority };
        match &self.output {
            Some(file) => {
                files::write_private(file, token.to_string())?;
                println!("{}: token {id}, good until {expires:.0}", file.display());
            }
            None => print!("{token}"),
        }
        Ok(())
    }
}

async fn list(server: &Server) -> Result<()> {
    let selector = [("fieldSelector", "type=bootstrap.kubernetes.io/token")];
    let answer = client(&server.access()?)?.ask(Method::GET, &secrets()?, &selector, Body::None).await?;
    let items = answer.get("items").and_then(Value::as_array).into_iter().flatten();
    let tokens: Vec<identity::Token> = items.filter_map(identity::Token::of).collect();
    if tokens.is_empty() {
        println!("there are no tokens");
        return Ok(());
    }
    println!("{:<8} {:<22} NODE", "ID", "EXPIRES");
    for token in tokens {
        let expires = match token.expires {
            Some(at) if token.is_over(Timestamp::now()) => format!("{at:.0} (over)"),
            Some(at) => format!("{at:.0}"),
            None => "never".to_owned(),
        };
        println!("{:<8} {expires:<22} {}", token.id, token.node.as_deref().unwrap_or("any"));
    }
    Ok(())
}

impl Revoke {
    async fn run(self) -> Result<()> {
        let id = self.id.split('.').next().unwrap_or_default().to_owned();
        let place = secrets()?.object(&identity::secret_name(&id))?;
        match client(&self.server.access()?)?.ask(Method::DELETE, &place, &[], Body::None).await {
            Ok(_) => println!("token {id} is gone"),
            Err(error) if error.reason == Reason::NotFound => bail!("there is no token {id:?}"),
            Err(error) => return Err(error).with_context(|| format!("can't remove token {id}")),
        }
        Ok(())
    }
}

/// Letters and digits that nobody can guess.
fn random(count: usize) -> String {
    let letter = || LETTERS.get(rand::random_range(0..LETTERS.len())).copied().map_or('0', char::from);
    (0..count).map(|_| letter()).collect()
}

fn span(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("{text:?} is not a number with s, m, h or d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: i64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    let total = count.checked_mul(seconds).filter(|total| *total > 0).ok_or_else(wrong)?;
    Ok(SignedDuration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(span(text).unwrap().as_secs(), seconds);
        }
        for text in ["", "5", "h", "-1h", "0s", "1w", "99999999999999999999d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_are_of_the_form_that_files_have() {
        let token = Token { bearer: format!("{}.{}", random(6), random(16)), authority: "0a".repeat(32) };
        assert!(Token::parse(&token.to_string()).unwrap() == token);
        assert_ne!(random(16), random(16));
    }
}
