//! Certificates of listeners.

use crate::aws::{Fields, Refusal, State, Thing, refuse};

/// Certificates of a page; AWS's are longer.
const PAGE: usize = 2;

impl Thing {
    /// Whether it has certificates at all.
    pub fn is_secure(&self) -> bool {
        self.has("Protocol", "HTTPS") || self.has("Protocol", "TLS")
    }
}

impl State {
    pub fn certificates(&mut self, fields: &Fields) -> std::result::Result<String, Refusal> {
        let listener = self.one("ListenerArn", fields)?;
        let default = members_of_certificates(&listener.fields).into_iter().map(|arn| (arn, true));
        let all: Vec<(String, bool)> =
            default.chain(listener.certificates.iter().map(|arn| (arn.clone(), false))).collect();
        let from: usize = fields.get("Marker").and_then(|marker| marker.parse().ok()).unwrap_or_default();
        let one = |(arn, default): &(String, bool)| {
            format!("<member><CertificateArn>{arn}</CertificateArn><IsDefault>{default}</IsDefault></member>")
        };
        let page: String = all.iter().skip(from).take(PAGE).map(one).collect();
        let next =
            if all.len() > from + PAGE { format!("<NextMarker>{}</NextMarker>", from + PAGE) } else { String::new() };
        Ok(format!("<Certificates>{page}</Certificates>{next}"))
    }

    pub fn certify(&mut self, come: bool, fields: &Fields) -> std::result::Result<String, Refusal> {
        let said = members_of_certificates(fields);
        let [one] = said.as_slice() else { return refuse("ValidationError", "one certificate a call") };
        let listener = self.one("ListenerArn", fields)?;
        if !listener.is_secure() {
            return refuse("UnsupportedProtocol", "certificates are for HTTPS and TLS");
        }
        if !come && members_of_certificates(&listener.fields).contains(one) {
            return refuse("OperationNotPermitted", "the certificate by default stays");
        }
        listener.certificates.retain(|known| known != one);
        if come {
            listener.certificates.push(one.clone());
        }
        Ok(String::new())
    }
}

pub fn members_of_certificates(fields: &Fields) -> Vec<String> {
    (1..).map_while(|at| fields.get(&format!("Certificates.member.{at}.CertificateArn")).cloned()).collect()
}
