//! A client that costs as little as it can, so that the servers are measured and not it: requests are bytes made beforehand,
//! answers are cut by their braces and looked at as text.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a server may take for one answer. The real one takes seconds for a monitor of 100,000 rows.
const PATIENCE: Duration = Duration::from_mins(3);
const READ_BYTES: usize = 256 << 10;

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// How much of the buffer has been handed out.
    used: usize,
    chunk: Vec<u8>,
}

impl Session {
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new(), used: 0, chunk: vec![0; READ_BYTES] })
    }

    pub(super) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)
    }

    /// The next message, whatever it is.
    pub(super) fn next(&mut self) -> io::Result<&[u8]> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let mut scan = Scan::default();
        loop {
            if let Some(end) = scan.end(&self.buffer) {
                self.used = end;
                return Ok(&self.buffer[..end]);
            }
            match self.stream.read(&mut self.chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.buffer.extend_from_slice(&self.chunk[..count]),
            }
        }
    }

    /// The next message, which must be the answer of something that went well; gives its length in bytes.
    pub(super) fn answer(&mut self) -> io::Result<usize> {
        let message = self.next()?;
        // A failed operation leaves an "error" of its own in the result.
        let errors = occurrences(message, b"\"error\"");
        if errors == 1 && occurrences(message, b"\"error\":null") == 1 {
            return Ok(message.len());
        }
        let shown = String::from_utf8_lossy(&message[..message.len().min(300)]).into_owned();
        Err(io::Error::other(format!("refused: {shown}")))
    }

    /// Sends a request and reads its answer.
    pub(super) fn call(&mut self, request: &[u8]) -> io::Result<usize> {
        self.send(request)?;
        self.answer()
    }
}

fn occurrences(text: &[u8], part: &[u8]) -> usize {
    // An answer's own members come within its first or last bytes; rows in between have no member of this name.
    const EDGE: usize = 4096;
    let count = |text: &[u8]| text.windows(part.len()).filter(|window| *window == part).count();
    if text.len() <= 2 * EDGE {
        count(text)
    } else {
        count(&text[..EDGE]) + count(&text[text.len() - EDGE..])
    }
}

/// Finds the end of a message.
#[derive(Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    fn end(&mut self, buffer: &[u8]) -> Option<usize> {
        while let Some(byte) = buffer.get(self.at) {
            self.at += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_its_last_brace_wherever_reads_split_it() {
        let text = br#"{"id":1,"result":["}\"{"],"error":null}{"id":2}"#;
        for split in 0..text.len() {
            let mut scan = Scan::default();
            let end = scan.end(&text[..split]).or_else(|| scan.end(text));
            assert_eq!(end, Some(39), "split at {split}");
        }
    }
}
