//! Makes the definitions that schemas may refer to: Kubernetes' types as k8s-openapi describes them, completed by the
//! facts in `build/facts.txt`, which its schemas lack. They are embedded compressed, a line each: name, tab, JSON.

#[path = "build/facts.rs"]
mod facts;
#[path = "build/types.rs"]
mod types;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::{env, fs};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let mut definitions = types::definitions();
    for (name, schema) in &mut definitions {
        adapt(name, schema);
    }
    let facts = fs::read_to_string("build/facts.txt")?;
    facts::apply(&facts, &mut definitions)?;
    let mut text = String::new();
    for (name, schema) in &definitions {
        text.push_str(&format!("{name}\t{schema}\n"));
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    fs::write(out.join("definitions.z"), encoder.finish()?)?;
    Ok(())
}

/// What the generated schemas say too strictly, or not at all.
fn adapt(name: &str, schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    let short = name.rsplit('.').next().unwrap_or(name);
    // Kubernetes' server takes what writers of status leave out for the type's zero.
    let lenient = ["NodeSystemInfo", "EndpointSlice", "Role", "ClusterRole", "ContainerStateTerminated", "Event"];
    if short.ends_with("Status") || lenient.contains(&short) {
        map.remove("required");
    }
    match short {
        "Quantity" => set(map, "type", json!("string")),
        "IntOrString" => {
            set(map, "type", json!("string"));
            set(map, "format", json!("int-or-string"));
        }
        "FieldsV1" | "RawExtension" => set(map, "x-kubernetes-preserve-unknown-fields", json!(true)),
        "JSON" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray" => {
            map.remove("type");
            map.remove("oneOf");
        }
        "JSONSchemaProps" => {
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                let about = "Whether the value may not change once the object exists.";
                set(properties, "x-gantry-immutable", json!({ "type": "boolean", "description": about }));
            }
        }
        _ => {}
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    map.insert(name.to_owned(), value);
}
