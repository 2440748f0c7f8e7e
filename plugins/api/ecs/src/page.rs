//! Lists in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gantry_sdk::{Value, json};

use crate::fault::{Fault, Result};
use crate::object::text;

/// As many as there are in a page when the caller does not say.
const LARGEST: u64 = 100;

/// The page that a request asks for, of all items, whose keys order them. A token is the key after which the next page
/// begins, so that items which come and go between two pages move no others.
pub fn page(request: &Value, name: &str, all: Vec<(String, Value)>) -> Result<Value> {
    page_of(request, name, LARGEST, all)
}

/// The same where a page has fewer at most.
pub fn page_of(request: &Value, name: &str, largest: u64, mut all: Vec<(String, Value)>) -> Result<Value> {
    all.sort_by(|(one, _), (two, _)| one.cmp(two));
    let most = match request.get("maxResults").and_then(Value::as_i64) {
        None => largest,
        Some(most) => u64::try_from(most)
            .ok()
            .filter(|most| (1..=largest).contains(most))
            .ok_or_else(|| Fault::parameter(format!("maxResults must be between 1 and {largest}.")))?,
    };
    let after = match text(request, "nextToken") {
        "" => None,
        token => Some(read(token)?),
    };
    let rest: Vec<(String, Value)> = match after {
        Some(after) => all.into_iter().filter(|(key, _)| *key > after).collect(),
        None => all,
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let next = (rest.len() > most).then(|| rest.get(most - 1).map(|(key, _)| URL_SAFE_NO_PAD.encode(key))).flatten();
    let shown: Vec<Value> = rest.into_iter().take(most).map(|(_, item)| item).collect();
    let mut answer = json!({name: shown});
    if let (Some(next), Some(map)) = (next, answer.as_object_mut()) {
        map.insert("nextToken".to_owned(), json!(next));
    }
    Ok(answer)
}

fn read(token: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| Fault::parameter("Invalid token."))
}
