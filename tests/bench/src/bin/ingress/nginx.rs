//! nginx as the backends, and as the proxy that ours is compared with.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A running nginx. It ends, with its folder, when this is dropped.
pub struct Nginx {
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Answers on the backends' ports, and leads from another port to them.
    pub fn start(backends: &[u16], proxy: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration(folder.path().to_str().context("a folder's name is text")?, backends, proxy)?)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file).stderr(Stdio::null());
        let mut nginx = Self { child: command.spawn().context("can't run nginx")?, _folder: folder };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", proxy)).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(10), "nginx does not listen");
            ensure!(nginx.child.try_wait()?.is_none(), "nginx ended; see `nginx -t`");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it.
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Connections to backends are kept, as ours are.
fn configuration(folder: &str, backends: &[u16], proxy: u16) -> Result<String> {
    let (mut servers, mut upstream) = (String::new(), String::new());
    for port in backends {
        writeln!(servers, "server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"hello\\n\"; }} }}")?;
        writeln!(upstream, "server 127.0.0.1:{port};")?;
    }
    Ok(format!(
        "daemon off; worker_processes 2; pid {folder}/pid; error_log /dev/null; events {{ worker_connections 4096; }}
http {{
access_log off; keepalive_requests 1000000;
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{servers}
upstream backends {{ {upstream} keepalive 256; keepalive_requests 1000000; }}
server {{ listen 127.0.0.1:{proxy}; server_name a.example; location / {{
proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
}} }}
}}
"
    ))
}
