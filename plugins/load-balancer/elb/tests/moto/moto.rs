//! AWS's API as `moto` has it, and the component that asks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use gantry_contract::Component;
use gantry_sdk::{Value, serde_json};
use tempfile::TempDir;

pub const REGION: &str = "eu-west-1";

/// A `moto_server`, which ends with the test.
pub struct Moto {
    server: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Moto {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let server = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("MOTO_RECORDER_FILEPATH", folder.path().join("recording"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("moto_server is on the PATH: pip install 'moto[server]'");
        let mut moto = Self { server, port: 0, folder };
        let patience = Instant::now() + Duration::from_secs(90);
        // It listens when it says at which port.
        while moto.port == 0 {
            assert!(Instant::now() < patience, "moto_server does not say where it listens: {}", moto.log());
            assert!(moto.server.try_wait().unwrap().is_none(), "moto_server has ended: {}", moto.log());
            thread::sleep(Duration::from_millis(50));
            moto.port = said_port(&moto.log()).unwrap_or_default();
        }
        fs::write(moto.keys(), "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = s3cret\n").unwrap();
        moto
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the AWS CLI says.
    pub fn aws(&self, args: &[&str]) -> Value {
        let done = Command::new("aws")
            .args(["--endpoint-url", &self.endpoint(), "--region", REGION, "--output", "json"])
            .args(args)
            .env("AWS_SHARED_CREDENTIALS_FILE", self.keys())
            .env("AWS_CONFIG_FILE", "/dev/null")
            .output()
            .expect("the AWS CLI is on the PATH: pip install awscli");
        assert!(done.status.success(), "{args:?}: {}\n{}", String::from_utf8_lossy(&done.stderr), self.log());
        serde_json::from_slice(&done.stdout).unwrap_or_default()
    }

    pub fn list(&self, action: &str, field: &str, more: &[&str]) -> Vec<Value> {
        self.aws(&[&["elbv2", action], more].concat())[field].as_array().cloned().unwrap_or_default()
    }

    pub fn recorder(&self, what: &str) -> String {
        let url = format!("{}/moto-api/recorder/{what}", self.endpoint());
        let done = Command::new("curl")
            .args(["-sS", "-X", if what == "download-recording" { "GET" } else { "POST" }, &url])
            .output()
            .unwrap();
        assert!(done.status.success(), "{what}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Requests that change something while this is done.
    pub fn changes(&self, does: impl FnOnce()) -> Vec<String> {
        self.recorder("reset-recording");
        self.recorder("start-recording");
        does();
        self.recorder("stop-recording");
        let text = self.recorder("download-recording");
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let actions: Vec<String> = lines.filter_map(|line| action(&body(&line)?)).collect();
        assert!(actions.iter().any(|action| action.starts_with("Describe")), "it was asked at all: {text}");
        actions.into_iter().filter(|action| !action.starts_with("Describe")).collect()
    }
}

/// Of a line ` * Running on http://127.0.0.1:40405`, once it is whole.
fn said_port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("Running on http://127.0.0.1:")?;
    rest.split_once('\n')?.0.trim().parse().ok()
}

/// `moto` writes bodies down in base64.
pub fn body(line: &Value) -> Option<String> {
    let body = line["body"].as_str()?;
    match line["body_encoded"] == true {
        true => String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).ok()?).ok(),
        false => Some(body.to_owned()),
    }
}

pub fn action(body: &str) -> Option<String> {
    body.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned)
}

pub fn component(moto: &Moto) -> Component {
    let plugins = std::env::var_os("GANTRY_PLUGINS")
        .map_or_else(|| std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins"), PathBuf::from);
    let file = plugins.join("load-balancer-elb.wasm");
    let component = Component::read(&file).unwrap_or_else(|e| panic!("{e:#}; `cargo xtask build plugins` makes it"));
    component.http(moto.endpoint(), sign(&moto.endpoint(), &moto.keys()))
}

pub fn sign(endpoint: &str, keys: &Path) -> toml::Table {
    let text = format!(
        "[[sign]]\nendpoint = {endpoint:?}\nservice = \"elasticloadbalancing\"\nregion = {REGION:?}\ncredentials-file = {keys:?}"
    );
    toml::from_str(&text).unwrap()
}

pub fn certificate(moto: &Moto, domain: &str) -> String {
    let made = moto.aws(&["acm", "request-certificate", "--domain-name", domain]);
    made["CertificateArn"].as_str().unwrap().to_owned()
}
