//! Credentials from a kubeconfig: for an administrator's trials, and for nodes whose certificates somebody else manages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_plugin::bundle::digest;
use serde::Deserialize;

use super::{Access, tls};

/// The parts of a kubeconfig that matter here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kubeconfig {
    current_context: String,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    #[serde(skip)]
    file: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedContext {
    name: String,
    context: Context_,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context_ {
    cluster: String,
    user: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
}

impl Kubeconfig {
    /// Reads one.
    pub fn read(file: &Path) -> Result<Self> {
        let failed = || format!("can't read kubeconfig {}", file.display());
        let text = std::fs::read_to_string(file).with_context(failed)?;
        // The parser goes on with a drawing of the place.
        let short = |error: serde_saphyr::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
        let config: Self =
            serde_saphyr::from_str(&text).map_err(|error| anyhow::Error::msg(short(error))).with_context(failed)?;
        Ok(Self { file: file.to_owned(), ..config })
    }

    /// What its current context says. `server` goes before the address there.
    pub fn access(&self, server: Option<&str>) -> Result<Access> {
        self.access_now(server).with_context(|| format!("kubeconfig {}", self.file.display()))
    }

    fn access_now(&self, server: Option<&str>) -> Result<Access> {
        let current = &self.current_context;
        let context = self.contexts.iter().find(|context| context.name == *current);
        let context = &context.with_context(|| format!("it has no context {current:?}"))?.context;
        let cluster = self.clusters.iter().find(|cluster| cluster.name == context.cluster);
        let cluster = &cluster.with_context(|| format!("it has no cluster {:?}", context.cluster))?.cluster;
        let user = self.users.iter().find(|user| user.name == context.user);
        let user = &user.with_context(|| format!("it has no user {:?}", context.user))?.user;
        if cluster.insecure_skip_tls_verify {
            bail!("insecure-skip-tls-verify is not supported: name the server's authority instead");
        }
        let authority = self.bytes(&cluster.certificate_authority_data, &cluster.certificate_authority)?;
        let authority = authority.context("it does not name the server's authority")?;
        let certificate = self.bytes(&user.client_certificate_data, &user.client_certificate)?;
        let key = self.bytes(&user.client_key_data, &user.client_key)?;
        let (certificate, key) = certificate.zip(key).context("its user has no client certificate with a key")?;
        let server = server.unwrap_or(&cluster.server).trim_end_matches('/').to_owned();
        let tls = tls::mutual(&authority, &certificate, &key)?;
        let authority =
            digest(&tls::certificates(&authority)?.iter().flat_map(|der| der.to_vec()).collect::<Vec<u8>>());
        Ok(Access { server, tls, authority })
    }

    /// What is embedded, or what the file holds that is named; its path is relative to the kubeconfig.
    fn bytes(&self, data: &Option<String>, file: &Option<PathBuf>) -> Result<Option<Vec<u8>>> {
        if let Some(data) = data {
            return STANDARD.decode(data.trim()).map(Some).context("what it embeds is not base64");
        }
        let Some(file) = file else { return Ok(None) };
        let file = self.file.parent().map(|folder| folder.join(file)).unwrap_or_else(|| file.clone());
        std::fs::read(&file).map(Some).with_context(|| format!("can't read {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Kubeconfig {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "x: [").unwrap();
        let error = format!("{:#}", Kubeconfig::read(&file).err().unwrap());
        assert!(error.contains("config") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn what_an_api_server_writes_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let pki = gantry_api::Pki::load_or_create(folder.path(), &[]).unwrap();
        let text = pki.kubeconfig("https://127.0.0.1:6443");
        assert_eq!(of(&text).access(None).unwrap().server, "https://127.0.0.1:6443");
        assert_eq!(of(&text).access(Some("https://api:1/")).unwrap().server, "https://api:1");
        let insecure = text.replace("certificate-authority-data:", "insecure-skip-tls-verify: true\n    other:");
        for (text, want) in [
            (text.replace("current-context: gantry", "current-context: other"), "no context \"other\""),
            (text.replace("client-key-data", "token"), "no client certificate"),
            (text.replace("certificate-authority-data", "other"), "does not name the server's authority"),
            (insecure, "not supported"),
        ] {
            let error = format!("{:#}", of(&text).access(None).err().unwrap());
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }
}
