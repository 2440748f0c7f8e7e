use super::*;
use gantry_model::status::Reason;

/// Writes protobuf, so that the tests read like the messages.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn varint(mut self, mut n: u64) -> Self {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
        self
    }

    fn int(self, number: u32, n: i64) -> Self {
        self.varint(u64::from(number) << 3).varint(n as u64)
    }

    fn bytes(self, number: u32, bytes: &[u8]) -> Self {
        let mut writer = self.varint(u64::from(number) << 3 | 2).varint(bytes.len() as u64);
        writer.0.extend_from_slice(bytes);
        writer
    }

    fn text(self, number: u32, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    fn message(self, number: u32, inner: Writer) -> Self {
        self.bytes(number, &inner.0)
    }
}

fn w() -> Writer {
    Writer::default()
}

fn body(version: &str, kind: &str, object: Writer) -> Vec<u8> {
    let envelope = w().message(1, w().text(1, version).text(2, kind)).message(2, object).text(3, "").text(4, "");
    [MAGIC, &envelope.0].concat()
}

#[test]
fn a_namespace_without_empty_fields() {
    let metadata = w().text(1, "web").text(2, "").text(3, "").int(7, 0).message(8, w());
    let bytes = body("v1", "Namespace", w().message(1, metadata).message(2, w()).message(3, w().text(1, "")));
    let want = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}, "spec": {}, "status": {}});
    assert_eq!(decode(&bytes).unwrap(), want);
}

#[test]
fn maps_bytes_and_times() {
    let pair = |key: &str, value: &[u8]| w().text(1, key).bytes(2, value);
    let metadata = w().text(1, "s").message(8, w().int(1, 1_700_000_000)).message(11, pair("a", b"b"));
    let object = w().message(1, metadata).message(2, pair("k", b"\x00v")).message(2, pair("e", b"")).text(3, "Opaque");
    let got = decode(&body("v1", "Secret", object)).unwrap();
    assert_eq!(got["data"], json!({"k": "AHY=", "e": ""}));
    assert_eq!(got["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!((&got["metadata"]["labels"], &got["type"]), (&json!({"a": "b"}), &json!("Opaque")));
}

#[test]
fn a_deployment_keeps_zeros_that_mean_something() {
    let port = w().text(1, "").int(2, 0).int(3, 8080).text(4, "TCP");
    let handler = w().message(2, w().text(1, "/").message(2, w().int(1, 1).int(2, 0).text(3, "http")));
    let probe = w().message(1, handler).int(2, 0).int(3, -1);
    let limits = w().text(1, "cpu").message(2, w().text(1, "500m"));
    let volume = w().text(1, "v").message(2, w().message(2, w().text(1, "")));
    let container =
        w().text(1, "c").text(2, "i").message(6, port).message(8, w().message(1, limits)).message(11, probe);
    let template = w().message(1, w()).message(2, w().message(1, volume).message(2, container));
    let spec = w().int(1, 0).message(3, template).message(4, w().text(1, "")).int(5, 0).int(7, 0);
    let got = decode(&body("apps/v1", "Deployment", w().message(1, w().text(1, "d")).message(2, spec))).unwrap();
    let want = json!({"replicas": 0, "strategy": {}, "template": {"metadata": {}, "spec": {
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{
            "name": "c", "image": "i", "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "500m"}},
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "timeoutSeconds": -1},
        }],
    }}});
    assert_eq!(got["spec"], want);
}

#[test]
fn kinds_that_are_not_in_the_table_get_415() {
    let status = decode(&body("example.com/v1", "Thing", w())).unwrap_err();
    assert_eq!(status.reason, Reason::UnsupportedMediaType);
    assert!(status.message.contains("Thing"));
}

#[test]
fn malformed_bodies_get_400() {
    let whole = body("v1", "ConfigMap", w().message(1, w().text(1, "a")));
    for end in 0..whole.len() {
        if let Err(status) = decode(&whole[..end]) {
            assert!(matches!(status.reason, Reason::BadRequest | Reason::UnsupportedMediaType), "{end}");
        }
    }
    assert_eq!(decode(b"{}").unwrap_err().reason, Reason::BadRequest);
    let wrong = body("v1", "ConfigMap", w().int(1, 3));
    assert!(decode(&wrong).unwrap_err().message.contains("another type"));
}
