//! What requests of an AWS API look like, from a service's model as botocore has it: names, types, what must be there and
//! which words there are. No text of the model is taken.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use crate::paths;

#[derive(Args)]
pub struct Facts {
    /// The model, unpacked: `botocore/data/ecs/2014-11-13/service-2.json`.
    model: PathBuf,
    /// Where the table goes. By default that of `api-ecs`.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Model {
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
struct Operation {
    input: Reference,
    #[serde(default)]
    errors: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    shape: String,
}

#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    members: BTreeMap<String, Reference>,
    member: Option<Reference>,
    value: Option<Reference>,
    #[serde(default, rename = "enum")]
    words: Vec<String>,
}

impl Facts {
    pub fn run(&self) -> Result<()> {
        let text = fs::read(&self.model).with_context(|| format!("can't read {}", self.model.display()))?;
        let model: Model = serde_json::from_slice(&text).context("not a model of a service")?;
        let output = self.output.clone().unwrap_or_else(|| paths::root().join("plugins/api/ecs/src/facts.txt"));
        fs::write(&output, model.table()).with_context(|| format!("can't write {}", output.display()))?;
        println!("✓ {}", output.display());
        Ok(())
    }
}

impl Model {
    /// `op NAME SHAPE ERRORS`, then the shapes that requests are made of. A member that must be there ends with `!`.
    fn table(&self) -> String {
        let (mut lines, mut shapes) = (Vec::new(), BTreeMap::new());
        for (name, operation) in &self.operations {
            let mut errors: Vec<&str> = operation.errors.iter().map(|error| error.shape.as_str()).collect();
            errors.sort_unstable();
            lines.push([&["op", name, operation.input.shape.as_str()], errors.as_slice()].concat().join(" "));
            self.walk(&operation.input.shape, &mut shapes);
        }
        lines.extend(shapes.into_values().filter(|line: &String| !line.is_empty()));
        lines.join("\n") + "\n"
    }

    fn walk<'a>(&'a self, name: &'a str, lines: &mut BTreeMap<&'a str, String>) {
        let Some(shape) = self.shapes.get(name).filter(|_| !lines.contains_key(name)) else { return };
        lines.insert(name, self.line(name, shape));
        let inner = shape.members.values().chain(&shape.member).chain(&shape.value);
        inner.for_each(|reference| self.walk(&reference.shape, lines));
    }

    fn line(&self, name: &str, shape: &Shape) -> String {
        let one = |of: &Option<Reference>| of.as_ref().map(|of| self.kind(&of.shape)).unwrap_or_default().to_owned();
        match shape.kind.as_str() {
            "structure" => {
                let member = |(member, of): (&String, &Reference)| {
                    let must = if shape.required.contains(member) { "!" } else { "" };
                    format!(" {member}:{}{must}", self.kind(&of.shape))
                };
                format!("struct {name}{}", shape.members.iter().map(member).collect::<String>())
            }
            "list" => format!("list {name} {}", one(&shape.member)),
            "map" => format!("map {name} {}", one(&shape.value)),
            _ if !shape.words.is_empty() => format!("enum {name} {}", shape.words.join(" ")),
            _ => String::new(),
        }
    }

    /// A letter for what has no shape of its own.
    fn kind<'a>(&self, name: &'a str) -> &'a str {
        match self.shapes.get(name).map(|shape| (shape.kind.as_str(), shape.words.is_empty())) {
            Some(("string" | "character", true)) => "s",
            Some(("integer" | "long", _)) => "i",
            Some(("double" | "float", _)) => "d",
            Some(("boolean", _)) => "b",
            Some(("timestamp", _)) => "t",
            Some(("blob", _)) => "x",
            _ => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_names_and_types_and_no_text() {
        let model = r#"{"operations": {"Do": {"input": {"shape": "In"}, "errors": [{"shape": "B"}, {"shape": "A"}], "documentation": "x"}},
            "shapes": {"In": {"type": "structure", "required": ["a"], "members": {"b": {"shape": "L"}, "a": {"shape": "S"}, "me": {"shape": "In"}}},
            "L": {"type": "list", "member": {"shape": "E"}}, "E": {"type": "string", "enum": ["X", "Y"]}, "S": {"type": "string"},
            "Out": {"type": "structure", "members": {}}}}"#;
        let model: Model = serde_json::from_str(model).unwrap();
        assert_eq!(model.table(), "op Do In A B\nenum E X Y\nstruct In a:s! b:L me:In\nlist L E\n");
    }
}
