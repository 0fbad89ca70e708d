//! A stream of messages in any split: the same messages as in one piece, or an error; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nuage_ovsdb::Error;
use nuage_ovsdb::rpc::{Decoder, Message};

fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, Option<Error>) {
    let mut decoder = Decoder::new(1 << 16);
    let mut messages = Vec::new();
    for chunk in chunks {
        decoder.buffer().extend_from_slice(chunk);
        loop {
            match decoder.decode() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    let (whole, failed) = decode(std::iter::once(stream));
    let (split, split_failed) = decode(stream.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, split);
    assert_eq!(failed.is_some(), split_failed.is_some());
    // What was read can be said again.
    let again: Vec<u8> = whole.iter().flat_map(Message::encode).collect();
    let (read, failed) = decode(std::iter::once(again.as_slice()));
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(read.len(), whole.len());
});
