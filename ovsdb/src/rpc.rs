//! The JSON-RPC 1.0 stream of OVSDB (RFC 7047 section 4): objects one after another without a delimiter, in any
//! split of reads. Bounded in size and depth; what breaks a bound ends the connection, never the process.

use bytes::{Buf as _, BytesMut};
use serde_json::Value;

use crate::error::Error;
use crate::text;

/// Largest message in bytes unless told otherwise. The initial content of a switch with 100,000 ports is about 40 MB.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Deepest nesting. A schema needs 9 levels; `serde_json` refuses more than 127.
pub const MAX_DEPTH: usize = 120;
/// There is room for so many bytes before each read: small messages come many at once.
const READ_BYTES: usize = 4 << 10;
/// From how many bytes on the memory of a message is given back when it has been read.
const KEPT_BYTES: usize = 256 << 10;

/// One JSON-RPC message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A request, to be answered under its id.
    Request {
        /// The method.
        method: String,
        /// Its parameters.
        params: Vec<Value>,
        /// Any JSON but null.
        id: Value,
    },
    /// A request with the id null: nobody waits for an answer.
    Notification {
        /// The method.
        method: String,
        /// Its parameters.
        params: Vec<Value>,
    },
    /// An answer. The real server leaves `result` out of errors; both forms are read.
    Response {
        /// The result, if it went well.
        result: Value,
        /// Null if it went well.
        error: Value,
        /// The request's id.
        id: Value,
    },
}

impl Message {
    /// Reads a message from its JSON object.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what the real server drops a connection for: no object, an unknown member, `params`
    /// that are no array (measured on ovsdb-server 3.1).
    pub fn from_json(json: Value) -> Result<Self, Error> {
        let malformed = |what: &str| Error::Malformed(what.to_owned());
        let Value::Object(mut object) = json else { return Err(malformed("not a JSON object")) };
        let known = ["method", "params", "id", "result", "error"];
        if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(Error::Malformed(format!("unexpected member \"{unknown}\"")));
        }
        let id = object.remove("id").unwrap_or(Value::Null);
        let Some(method) = object.remove("method") else {
            let mut take = |key: &str| object.remove(key).unwrap_or(Value::Null);
            return Ok(Self::Response { result: take("result"), error: take("error"), id });
        };
        let Value::String(method) = method else { return Err(malformed("\"method\" must be a JSON string")) };
        if ["result", "error"].iter().any(|key| object.get(*key).is_some_and(|member| !member.is_null())) {
            return Err(malformed("a request has neither result nor error"));
        }
        let Some(Value::Array(params)) = object.remove("params") else {
            return Err(malformed("\"params\" must be JSON array"));
        };
        Ok(match id {
            Value::Null => Self::Notification { method, params },
            id => Self::Request { method, params, id },
        })
    }

    /// Its bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Request { method, params, id } => request(&mut out, id, method, params),
            Self::Notification { method, params } => request(&mut out, &Value::Null, method, params),
            Self::Response { result, error, id } => {
                out.extend_from_slice(b"{\"id\":");
                text::json(&mut out, id);
                // As the real server: no result beside an error.
                if error.is_null() {
                    out.extend_from_slice(b",\"result\":");
                    text::json(&mut out, result);
                }
                out.extend_from_slice(b",\"error\":");
                text::json(&mut out, error);
                out.push(b'}');
            }
        }
        out
    }
}

fn request(out: &mut Vec<u8>, id: &Value, method: &str, params: &[Value]) {
    out.extend_from_slice(b"{\"id\":");
    text::json(out, id);
    out.extend_from_slice(b",\"method\":");
    text::string(out, method);
    out.extend_from_slice(b",\"params\":[");
    for (position, param) in params.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        text::json(out, param);
    }
    out.extend_from_slice(b"]}");
}

/// Cuts a stream of bytes into messages.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    max_bytes: usize,
    /// How much of the buffer has been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether this message has an escape: few do.
    escapes: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_MESSAGE_BYTES)
    }
}

impl Decoder {
    /// A decoder of messages of at most `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_bytes,
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            escapes: false,
        }
    }

    /// Where to read into, with room for some; what is appended here is decoded by [`Decoder::decode`].
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// The next complete message, or `None` until more bytes have come.
    ///
    /// # Errors
    /// [`Error::Malformed`]; the stream cannot be used any more then.
    pub fn decode(&mut self) -> Result<Option<Message>, Error> {
        let end = self.scan()?;
        if end.unwrap_or(self.buffer.len()) > self.max_bytes {
            return Err(Error::Malformed(format!("longer than {} bytes", self.max_bytes)));
        }
        let Some(end) = end else { return Ok(None) };
        if std::mem::take(&mut self.escapes) && has_nul(&self.buffer[..end]) {
            return Err(Error::Malformed("null bytes not supported in strings".to_owned()));
        }
        let json =
            serde_json::from_slice(&self.buffer[..end]).map_err(|error| Error::Malformed(error.to_string()));
        self.buffer.advance(end);
        if end > KEPT_BYTES {
            // What follows is at most what one read has brought along.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        self.scanned = 0;
        Message::from_json(json?).map(Some)
    }

    /// Finds the end of the message at the start of the buffer.
    fn scan(&mut self) -> Result<Option<usize>, Error> {
        if self.depth == 0 && self.scanned == 0 {
            let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.advance(blank);
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(_) => return Err(Error::Malformed("a message must begin with {".to_owned())),
            }
        }
        while let Some(byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => (self.escaped, self.escapes) = (true, true),
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                return Ok(Some(self.scanned));
            }
            if self.depth > MAX_DEPTH {
                return Err(Error::Malformed(format!("nested deeper than {MAX_DEPTH} levels")));
            }
        }
        Ok(None)
    }
}

/// Whether a string of this JSON has the character 0, which the real server's strings cannot hold.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at..].starts_with(b"\\u0000") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let text = "[a-z\"\\\\{}\\[\\] \u{e9}\n]{0,12}";
        prop_oneof![
            (text, text, 1u32..9).prop_map(|(method, param, id)| Message::Request {
                method,
                params: vec![json!(param)],
                id: json!(id)
            }),
            (text, any::<i64>()).prop_map(|(method, param)| Message::Notification {
                method,
                params: vec![json!({ "a": [param] })]
            }),
            (text, 1u32..9).prop_map(|(result, id)| Message::Response {
                result: json!(result),
                error: Value::Null,
                id: json!(id)
            }),
        ]
    }

    fn decode(chunks: &[&[u8]]) -> Result<Vec<Message>, Error> {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.buffer().extend_from_slice(chunk);
            while let Some(message) = decoder.decode()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_same_messages(
            messages in prop::collection::vec(message(), 1..6),
            sizes in prop::collection::vec(1usize..17, 1..40),
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| { let mut b = message.encode(); b.push(b'\n'); b }).collect();
            let mut chunks = Vec::new();
            let mut rest = bytes.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break }
                let (chunk, tail) = rest.split_at((*size).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            prop_assert_eq!(decode(&chunks).unwrap(), messages);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&bytes]);
        }
    }

    #[test]
    fn a_message_beyond_a_bound_is_an_error_before_it_is_complete() {
        let mut decoder = Decoder::new(16);
        decoder.buffer().extend_from_slice(b"{\"method\":\"echo\",\"par");
        assert!(matches!(decoder.decode(), Err(Error::Malformed(_))));
        assert!(matches!(decode(&["{".repeat(121).as_bytes()]), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_message_of_exactly_the_bound_is_read_and_one_byte_more_is_an_error_however_it_comes() {
        let message = br#"{"method":"echo","params":[],"id":1}"#;
        for chunk in [1, 7, message.len()] {
            for (max_bytes, fits) in [(message.len(), true), (message.len() - 1, false)] {
                let mut decoder = Decoder::new(max_bytes);
                let read: Result<Vec<_>, _> = message
                    .chunks(chunk)
                    .map(|bytes| {
                        decoder.buffer().extend_from_slice(bytes);
                        decoder.decode()
                    })
                    .collect();
                assert_eq!(read.is_ok(), fits, "{max_bytes} bytes in pieces of {chunk}: {read:?}");
            }
        }
        // Several that are waiting are not one that is too long.
        let mut decoder = Decoder::new(message.len());
        decoder.buffer().extend_from_slice(&message.repeat(3));
        assert_eq!((0..3).filter(|_| matches!(decoder.decode(), Ok(Some(_)))).count(), 3);
    }

    #[test]
    fn the_memory_of_a_large_message_is_given_back_once_it_has_been_read() {
        let mut decoder = Decoder::default();
        let large = format!(r#"{{"method":"echo","params":["{}"],"id":1}}"#, "x".repeat(2 * KEPT_BYTES));
        decoder.buffer().extend_from_slice(large.as_bytes());
        assert!(decoder.decode().unwrap().is_some());
        assert!(decoder.buffer().capacity() <= KEPT_BYTES);
    }

    #[test]
    fn what_the_real_server_drops_a_connection_for_is_malformed() {
        for text in ["[1]", r#"{"method":"echo","id":1}"#, r#"{"method":"echo","params":{},"id":1}"#] {
            assert!(matches!(decode(&[text.as_bytes()]), Err(Error::Malformed(_))), "{text}");
        }
        for (text, has) in [(r"\u0000", true), (r"\\u0000", false), (r"\\\u0000", true), (r"\u0001\n", false)]
        {
            let message = format!(r#"{{"method":"echo","params":["{text}"],"id":1}}"#);
            assert_eq!(decode(&[message.as_bytes()]).is_err(), has, "{text}");
        }
        let extra = r#"{"jsonrpc":"2.0","method":"echo","params":[],"id":1}"#;
        assert!(matches!(decode(&[extra.as_bytes()]), Err(Error::Malformed(_))));
    }

    #[test]
    fn an_error_reply_may_leave_its_result_out() {
        let messages = decode(&[br#"{"id":3,"error":"unknown method"}"#]).unwrap();
        let expected =
            Message::Response { result: Value::Null, error: json!("unknown method"), id: json!(3) };
        assert_eq!(messages, [expected]);
    }
}
