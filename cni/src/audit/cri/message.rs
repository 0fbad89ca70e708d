//! The one answer of the CRI that is read, in protobuf's notation, and the frame that gRPC puts around a message. Pure; what is
//! not known is skipped, what is wrong refuses the whole.
//!
//! Numbers are those of `api.proto` of Kubernetes' cri-api, the same in `runtime.v1` and `runtime.v1alpha2`:
//! `ListPodSandboxResponse { repeated PodSandbox items = 1 }`, `PodSandbox { string id = 1; PodSandboxState state = 3 }`,
//! `SANDBOX_READY = 0`, `SANDBOX_NOTREADY = 1`. A field with the value 0 is left out.

use crate::audit::containers::Sandboxes;

/// Before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
const READY: u64 = 0;
/// The fields that are read.
const ITEMS: u64 = 1;
const ID: u64 = 1;
const STATE: u64 = 3;
/// No varint is longer.
const VARINT_BYTES: usize = 10;

/// A message as it is sent.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// The one message of a whole body; `None` where it is not exactly one, or compressed.
pub(super) fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    (prefix[0] == 0 && usize::try_from(length).ok()? == message.len()).then_some(message)
}

/// The sandboxes of a `ListPodSandboxResponse`, and whether each is ready.
pub(super) fn sandboxes(message: &[u8]) -> Option<Sandboxes> {
    let mut found = Sandboxes::new();
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        if let (ITEMS, Value::Bytes(item)) = (number, value) {
            let (id, ready) = sandbox(item)?;
            found.insert(id, ready);
        }
    }
    Some(found)
}

fn sandbox(message: &[u8]) -> Option<(String, bool)> {
    let (mut id, mut state) = (None, READY);
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (ID, Value::Bytes(text)) => id = Some(String::from_utf8(text.to_vec()).ok()?),
            (STATE, Value::Number(number)) => state = number,
            _ => {}
        }
    }
    // One without an id is none that an attachment could be of, and no whole answer.
    Some((id.filter(|id| !id.is_empty())?, state == READY))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message that are left.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field; `Some(None)` at the end, `None` where the message is none.
    #[expect(clippy::option_option, reason = "the end of a message is no error")]
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.skip(4)?,
            // Groups are not used since long.
            _ => return None,
        };
        Some(Some((key >> 3, value)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, length: usize) -> Option<Value<'a>> {
        self.take(length)?;
        Some(Value::Other)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for place in 0..VARINT_BYTES {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(u32::try_from(7 * place).ok()?).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(id: &str, rest: &[u8]) -> Vec<u8> {
        let mut item = vec![0x0a, u8::try_from(id.len()).unwrap()];
        item.extend_from_slice(id.as_bytes());
        item.extend_from_slice(rest);
        let mut field = vec![0x0a, u8::try_from(item.len()).unwrap()];
        field.extend(item);
        field
    }

    #[test]
    fn a_sandbox_is_ready_unless_its_state_says_otherwise_and_the_rest_is_skipped() {
        // Metadata, a date, and a field that nobody knows, around the state.
        let rest =
            [0x12, 0x03, 0x0a, 0x01, b'p', 0x18, 0x01, 0x20, 0xff, 0x01, 0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8];
        let message = [item("a", &[]), item("b", &rest), item("c", &[0x18, 0x07])].concat();
        let expected: Sandboxes = [("a".into(), true), ("b".into(), false), ("c".into(), false)].into();
        assert_eq!(sandboxes(&message), Some(expected));
        assert_eq!(sandboxes(&[]), Some(Sandboxes::new()));
    }

    #[test]
    fn what_is_cut_short_or_has_no_id_is_no_answer() {
        let message = item("sandbox", &[0x18, 0x01]);
        for length in 1..message.len() {
            assert_eq!(sandboxes(&message[..length]), None, "{length}");
        }
        for odd in [
            &[0x0a, 0x00][..],
            &[0x0a, 0x02, 0x0a, 0x00],
            &[0x0b],
            &[0x80; 11],
            &[0x0a, 0x03, 0x0a, 0x01, 0xff],
        ] {
            assert_eq!(sandboxes(odd), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_holds_one_message_and_no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let frame = framed(&bytes);
            prop_assert_eq!(unframed(&frame), Some(&bytes[..]));
            prop_assert_eq!(unframed(&frame[..frame.len() - 1]), None);
            let _ = (unframed(&bytes), sandboxes(&bytes));
        }
    }
}
