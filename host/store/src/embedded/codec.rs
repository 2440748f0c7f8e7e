//! How a change is written: one entry a revision, cut into chunks.
//!
//! The log is the only copy of an object on disk: the newest entry of a key is the object. Entries are cut because sled
//! moves a tree node of more than 128 KiB (a node has about 16 values) into a file of its own, which it never syncs; with
//! chunks of 4 KiB no node gets that large.

use gantry_model::Record;

/// Bytes of an entry in one value.
const CHUNK: usize = 4096;
const PREFIX: u8 = b'e';
const DELETED: u8 = 1;

/// A decoded entry.
pub(super) struct Entry {
    pub(super) deleted: bool,
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) json: Vec<u8>,
}

/// The key of one chunk. Keys order by revision, then chunk.
pub(super) fn key(revision: u64, chunk: u32) -> [u8; 13] {
    let mut key = [PREFIX; 13];
    for (to, from) in key.iter_mut().skip(1).zip(revision.to_be_bytes().into_iter().chain(chunk.to_be_bytes())) {
        *to = from;
    }
    key
}

/// What all chunks' keys begin with.
pub(super) const fn prefix() -> [u8; 1] {
    [PREFIX]
}

/// Revision and chunk of a key.
pub(super) fn parse_key(key: &[u8]) -> Option<(u64, u32)> {
    let (prefix, rest) = key.split_first()?;
    let (revision, chunk) = rest.split_first_chunk::<8>()?;
    let chunk = u32::from_be_bytes(chunk.try_into().ok()?);
    (*prefix == PREFIX).then_some((u64::from_be_bytes(*revision), chunk))
}

/// The keys of all chunks of a change.
pub(super) fn keys(record: &Record) -> impl Iterator<Item = [u8; 13]> {
    let chunks = u32::try_from(size(record).div_ceil(CHUNK)).unwrap_or(u32::MAX);
    let revision = record.revision;
    (0..chunks).map(move |chunk| key(revision, chunk))
}

/// The chunks of a change, each with its key.
pub(super) fn chunks(encoded: &[u8], revision: u64) -> impl Iterator<Item = ([u8; 13], &[u8])> {
    (0..).zip(encoded.chunks(CHUNK)).map(move |(chunk, bytes)| (key(revision, chunk), bytes))
}

/// Writes a change down: its length, whether it is a deletion, the key, the fields, and the JSON last.
pub(super) fn encode(record: &Record, deleted: bool) -> Vec<u8> {
    let size = size(record);
    let mut out = Vec::with_capacity(size);
    number(&mut out, size);
    out.push(if deleted { DELETED } else { 0 });
    key_texts(record).into_iter().for_each(|part| text(&mut out, part));
    number(&mut out, record.fields.len());
    record.fields.iter().for_each(|(path, value)| {
        text(&mut out, path);
        text(&mut out, value);
    });
    out.extend_from_slice(&record.json);
    out
}

/// Reads an entry put together from its chunks. `None`: it is not whole.
pub(super) fn decode(bytes: &[u8]) -> Option<Entry> {
    let mut from = bytes;
    if take_number(&mut from)? != bytes.len() {
        return None;
    }
    let (flags, rest) = from.split_first()?;
    from = rest;
    let group = take_text(&mut from)?;
    let plural = take_text(&mut from)?;
    let namespace = take_text(&mut from)?;
    let name = take_text(&mut from)?;
    let fields = (0..take_number(&mut from)?)
        .map(|_| Some((take_text(&mut from)?, take_text(&mut from)?)))
        .collect::<Option<Vec<_>>>()?;
    Some(Entry { deleted: flags & DELETED != 0, group, plural, namespace, name, fields, json: from.to_vec() })
}

/// The length of an entry. It does not depend on whether it is a deletion.
fn size(record: &Record) -> usize {
    let keys: usize = key_texts(record).into_iter().map(|part| 4 + part.len()).sum();
    let fields: usize = record.fields.iter().map(|(path, value)| 8 + path.len() + value.len()).sum();
    4 + 1 + keys + 4 + fields + record.json.len()
}

fn key_texts(record: &Record) -> [&str; 4] {
    let key = &record.key;
    [&key.resource.group, &key.resource.plural, &key.namespace, &key.name]
}

fn number(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn take_number(from: &mut &[u8]) -> Option<usize> {
    let (number, rest) = from.split_first_chunk::<4>()?;
    *from = rest;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

fn take_text(from: &mut &[u8]) -> Option<String> {
    let length = take_number(from)?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::key::Resource;
    use gantry_model::{Draft, Key};
    use serde_json::json;

    fn record(filler: usize) -> Record {
        let key = Key::new(Resource::new("apps", "deployments"), "ns", "ü");
        let object = json!({"metadata": {"name": "ü"}, "spec": {"nodeName": "n1", "x": "y".repeat(filler)}});
        Draft::new(key, object, &["spec.nodeName".to_owned()]).commit(258)
    }

    #[test]
    fn entries_of_all_sizes_come_back_from_their_chunks() {
        for (filler, deleted) in [(0, false), (3_900, true), (4_096, false), (1 << 20, true)] {
            let record = record(filler);
            let encoded = encode(&record, deleted);
            let chunks: Vec<_> = chunks(&encoded, record.revision).collect();
            assert_eq!(chunks.iter().map(|(key, _)| *key).collect::<Vec<_>>(), keys(&record).collect::<Vec<_>>());
            assert!(chunks.is_sorted());
            let whole: Vec<u8> = chunks.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
            let entry = decode(&whole).unwrap();
            assert_eq!((entry.deleted, entry.group.as_str(), entry.plural.as_str()), (deleted, "apps", "deployments"));
            assert_eq!((entry.namespace.as_str(), entry.name.as_str()), ("ns", "ü"));
            assert_eq!((&entry.fields, entry.json.as_slice()), (&record.fields, &record.json[..]));
        }
    }

    #[test]
    fn a_cut_entry_is_refused() {
        let encoded = encode(&record(10), false);
        for length in 0..encoded.len() {
            assert!(decode(&encoded[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn keys_tell_revision_and_chunk() {
        assert_eq!(parse_key(&key(u64::MAX - 1, 7)), Some((u64::MAX - 1, 7)));
        assert_eq!(parse_key(b"e123"), None);
        assert_eq!(parse_key(&[b'm'; 13]), None);
        assert!(key(255, 1) < key(256, 0));
    }
}
