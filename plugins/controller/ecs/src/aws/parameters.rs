//! Parameters of Systems Manager.

use std::collections::BTreeMap;

use gantry_sdk::{Value, json};

use super::{Failure, ask};

const TARGET: &str = "AmazonSSM.GetParameters";
/// Names of one question.
const MOST: usize = 10;

/// The values of these, by their names.
pub fn values(endpoint: &str, names: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let (mut all, mut lost) = (BTreeMap::new(), Vec::new());
    for names in names.chunks(MOST) {
        let answer = ask(endpoint, "1.1", TARGET, &json!({"Names": names, "WithDecryption": true}))?;
        let list = answer.get("Parameters").and_then(Value::as_array).into_iter().flatten();
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
        all.extend(list.filter_map(|one| Some((text(one, "Name")?, text(one, "Value")?))));
        lost.extend(names.iter().filter(|name| !all.contains_key(*name)).cloned());
    }
    match lost.as_slice() {
        [] => Ok(all),
        lost => Err(Failure::Refused { code: "invalid parameters".to_owned(), message: lost.join(", ") }),
    }
}
