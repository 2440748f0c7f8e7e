//! `environmentFiles` of a container: variables in files of S3, which the controller reads when a task starts.

use ecs_common::endpoints::Aws;
use gantry_sdk::Value;

use super::endpoints;
use crate::fault::{Fault, Result};
use crate::object::{items, text};

/// Files of one container.
const MOST: usize = 10;

/// Whether each can be had.
pub fn check(container: &Value, path: &str) -> Result<()> {
    let files = items(container, "environmentFiles");
    if files.is_empty() {
        return Ok(());
    }
    if files.len() > MOST {
        return Err(Fault::client(format!("{path}environmentFiles cannot have more than {MOST} elements.")));
    }
    if let Some(file) = files.iter().map(|file| text(file, "value")).find(|file| !is_file(file)) {
        return Err(Fault::client(format!(
            "Invalid value {file:?} for {path}environmentFiles.value: give the ARN of a file in S3 whose name ends with .env."
        )));
    }
    endpoints::need(Aws::S3, &format!("{path}environmentFiles"))
}

/// `arn:aws:s3:::BUCKET/KEY.env`, in any partition of AWS.
fn is_file(arn: &str) -> bool {
    let place = arn.strip_prefix("arn:aws").and_then(|rest| rest.split_once(":s3:::")).map(|(_, place)| place);
    let (bucket, key) = place.and_then(|place| place.split_once('/')).unwrap_or_default();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(plain);
    // A part of dots alone would be another path.
    let key = key.len() <= 1024 && key.ends_with(".env") && !key.split('/').any(|part| matches!(part, "." | ".."));
    bucket && key
}
