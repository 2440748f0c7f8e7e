//! The file that kubectl reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Pair;

pub(super) fn render(server_url: &str, authority: &str, admin: &Pair) -> String {
    let [authority, certificate, key] = [authority, &admin.certificate, &admin.key].map(|pem| STANDARD.encode(pem));
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: gantry
  cluster:
    server: {server_url}
    certificate-authority-data: {authority}
users:
- name: gantry-admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: gantry
  context:
    cluster: gantry
    user: gantry-admin
current-context: gantry
"
    )
}
