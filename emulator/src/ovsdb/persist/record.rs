//! The records of ovsdb-server's standalone database file: a header line with length and SHA-1, then that many bytes of
//! JSON. Pure; what a bad record means for the file is the log's business.

use sha1::{Digest as _, Sha1};

/// What a header begins with.
const MAGIC: &[u8] = b"OVSDB JSON ";
/// No header line is longer: magic, 20 digits, 40 hexadecimal digits. The real server reads 128 bytes.
const MAX_HEADER_BYTES: usize = 128;

/// A whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Its JSON, with the line break at its end.
    pub(super) json: &'a [u8],
    /// Where it ends, from the beginning of the file.
    pub(super) end: usize,
}

/// Why there is no record: how a file ends that was torn, or damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The header line is none.
    #[error("parse error at offset {0} in header line")]
    Header(usize),
    /// The file ends before the record does.
    #[error("error reading {length} bytes starting at offset {offset} (End of file)")]
    Short {
        /// How long the record says that it is.
        length: usize,
        /// Where it begins, after its header.
        offset: usize,
    },
    /// The checksum is another's.
    #[error(
        "{length} bytes starting at offset {offset} have SHA-1 hash {found} but should have hash {expected}"
    )]
    Checksum {
        /// How long the record is.
        length: usize,
        /// Where it begins, after its header.
        offset: usize,
        /// The hash of what is there.
        found: String,
        /// The hash of what was written.
        expected: String,
    },
}

/// Appends a record of this JSON, which has no line break at its end.
pub(super) fn write(out: &mut Vec<u8>, json: &[u8]) {
    let mut digest = Sha1::new();
    digest.update(json);
    digest.update(b"\n");
    let header = format!("OVSDB JSON {} {}\n", json.len() + 1, hexadecimal(&digest.finalize()));
    out.reserve(header.len() + json.len() + 1);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(json);
    out.push(b'\n');
}

/// The record that begins at `start`; `None` at the end of the file.
pub(super) fn read(file: &[u8], start: usize) -> Result<Option<Record<'_>>, Broken> {
    let rest = file.get(start..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let header = rest.iter().take(MAX_HEADER_BYTES).position(|byte| *byte == b'\n');
    let parsed = header.and_then(|end| Some((end, parse_header(&rest[..end])?)));
    let Some((header, (length, expected))) = parsed else { return Err(Broken::Header(start)) };
    let offset = start + header + 1;
    let Some(json) = offset.checked_add(length).and_then(|end| file.get(offset..end)) else {
        return Err(Broken::Short { length, offset });
    };
    let found = hexadecimal(&Sha1::digest(json));
    if found != expected {
        return Err(Broken::Checksum { length, offset, found, expected });
    }
    Ok(Some(Record { json, end: offset + length }))
}

fn parse_header(line: &[u8]) -> Option<(usize, String)> {
    let rest = std::str::from_utf8(line.strip_prefix(MAGIC)?).ok()?;
    let (length, digest) = rest.split_once(' ')?;
    let length = length.parse().ok().filter(|length| *length > 0)?;
    let hexadecimal = digest.len() == 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| (length, digest.to_ascii_lowercase()))
}

fn hexadecimal(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of a file that ovsdb-server 3.1 wrote.
    const REAL: &[u8] = b"OVSDB JSON 93 805bba699c92f04c9c1e61459befff16beacbe74\n\
        {\"_date\":1795630819924,\"root\":{\"04d8e33a-bd00-4453-9a93-8d0da92a0cc9\":null},\"_is_diff\":true}\n";

    #[test]
    fn a_record_is_written_as_the_real_server_writes_it() {
        let record = read(REAL, 0).unwrap().unwrap();
        assert_eq!(record.end, REAL.len());
        let mut again = Vec::new();
        write(&mut again, record.json.strip_suffix(b"\n").unwrap());
        assert_eq!(again, REAL);
        assert_eq!(read(REAL, REAL.len()), Ok(None));
    }

    #[test]
    fn a_record_that_is_cut_anywhere_or_changed_anywhere_is_broken() {
        for end in 1..REAL.len() {
            assert!(read(&REAL[..end], 0).is_err(), "cut at {end}");
        }
        for position in 0..REAL.len() {
            let mut changed = REAL.to_vec();
            changed[position] ^= 1;
            let read = read(&changed, 0);
            assert!(read.is_err(), "changed at {position}: {read:?}");
        }
    }

    #[test]
    fn a_length_beyond_any_file_is_broken_not_followed() {
        let header = format!("OVSDB JSON {} {}\nx", usize::MAX, "0".repeat(40));
        assert!(matches!(read(header.as_bytes(), 0), Err(Broken::Short { .. })));
        let none = format!("OVSDB JSON 0 {}\n", "0".repeat(40));
        assert_eq!(read(none.as_bytes(), 0), Err(Broken::Header(0)));
    }
}
