//! Where a redirect leads to.

use gantry_plugin::family::proxy::Redirect as Planned;
use http::StatusCode;

/// What was asked for, as far as a redirect may name it.
pub struct Place<'a> {
    pub protocol: &'a str,
    pub host: &'a str,
    pub port: u16,
    /// With its first slash.
    pub path: &'a str,
    pub query: &'a str,
}

/// A redirect, whose empty parts stay as they were asked for.
pub struct Redirect {
    pub status: StatusCode,
    planned: Planned,
}

impl Redirect {
    /// Of a plan.
    pub fn new(planned: &Planned) -> Result<Self, String> {
        let status = StatusCode::from_u16(planned.status).ok().filter(|s| matches!(s.as_u16(), 301..=303 | 307 | 308));
        let status = status.ok_or_else(|| format!("{} is no status code of a redirect", planned.status))?;
        Ok(Self { status, planned: planned.clone() })
    }

    /// The URL.
    pub fn location(&self, asked: &Place<'_>) -> String {
        let planned = &self.planned;
        let or = |text: &str, kept: &str| if text.is_empty() { kept.to_owned() } else { filled(text, asked) };
        let protocol = or(&planned.protocol, asked.protocol).to_ascii_lowercase();
        let host = or(&planned.host, asked.host);
        let port = match planned.port.as_str() {
            // Another protocol has another port.
            "" if protocol != asked.protocol => String::new(),
            "" => asked.port.to_string(),
            text => filled(text, asked),
        };
        let usual = matches!((protocol.as_str(), port.as_str()), ("http", "80") | ("https", "443") | (_, ""));
        let port = if usual { String::new() } else { format!(":{port}") };
        let path = or(&planned.path, asked.path);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let query = or(&planned.query, asked.query);
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{protocol}://{host}{port}{slash}{path}{mark}{query}")
    }
}

fn filled(text: &str, asked: &Place<'_>) -> String {
    text.replace("#{protocol}", asked.protocol)
        .replace("#{host}", asked.host)
        .replace("#{port}", &asked.port.to_string())
        .replace("#{path}", asked.path.strip_prefix('/').unwrap_or(asked.path))
        .replace("#{query}", asked.query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays() {
        let asked = Place { protocol: "http", host: "a.example", port: 80, path: "/x/y", query: "q=1" };
        for (protocol, host, port, path, query, want) in [
            ("https", "", "", "", "", "https://a.example/x/y?q=1"),
            ("https", "", "8443", "", "", "https://a.example:8443/x/y?q=1"),
            ("", "", "", "", "", "http://a.example/x/y?q=1"),
            ("", "b.example", "81", "/new/#{path}", "old=#{path}&#{query}", "http://b.example:81/new/x/y?old=x/y&q=1"),
            ("HTTPS", "www.#{host}", "443", "plain", "", "https://www.a.example/plain?q=1"),
        ] {
            let text = str::to_owned;
            let planned = Planned {
                status: 301,
                protocol: text(protocol),
                host: text(host),
                port: text(port),
                path: text(path),
                query: text(query),
            };
            assert_eq!(Redirect::new(&planned).unwrap().location(&asked), want);
            assert!(Redirect::new(&Planned { status: 200, ..planned }).is_err());
        }
    }
}
