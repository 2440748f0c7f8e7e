//! AWS's API as `moto` has it, and the component that asks it.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use gantry_contract::Component;
use gantry_sdk::{Value, serde_json};

pub const REGION: &str = "eu-west-1";

/// AWS, and what of it is looked at here.
pub struct Moto(pub gantry_tests::Moto);

impl Moto {
    pub fn start() -> Self {
        Self(gantry_tests::Moto::start(REGION).unwrap())
    }

    /// What the AWS CLI says.
    pub fn aws(&self, args: &[&str]) -> Value {
        self.0.aws(args).unwrap()
    }

    pub fn list(&self, action: &str, field: &str, more: &[&str]) -> Vec<Value> {
        self.0.list(&[&["elbv2", action], more].concat(), field).unwrap()
    }

    pub fn recorder(&self, what: &str) -> String {
        let url = format!("{}/moto-api/recorder/{what}", self.0.endpoint());
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
    component.http(moto.0.endpoint(), sign(&moto.0.endpoint(), &moto.0.keys()))
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
