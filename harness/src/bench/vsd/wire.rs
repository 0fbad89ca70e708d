//! A client of HTTP/1.1 that costs as little as it can, so that the servers are measured and not it: requests are
//! bytes made beforehand, of an answer only status and length are looked at.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take for one answer.
const PATIENCE: Duration = Duration::from_mins(2);
const READ_BYTES: usize = 64 << 10;

/// One connection, kept alive.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The last answer's body and end in the buffer.
    body: (usize, usize),
    chunk: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new(), body: (0, 0), chunk: vec![0; READ_BYTES] })
    }

    /// Sends a request and reads its answer, which must be a success; gives the length of its body.
    pub(super) fn call(&mut self, request: &[u8]) -> io::Result<usize> {
        self.send(request)?;
        self.answer()
    }

    pub(super) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)
    }

    pub(super) fn answer(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.body.1);
        loop {
            if let Some((status, start, end)) = whole(&self.buffer) {
                self.body = (start, end);
                if (200..300).contains(&status) {
                    return Ok(end - start);
                }
                let text = String::from_utf8_lossy(self.body()).into_owned();
                return Err(io::Error::other(format!("answered {status}: {text}")));
            }
            match self.stream.read(&mut self.chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.buffer.extend_from_slice(self.chunk.get(..count).unwrap_or_default()),
            }
        }
    }

    /// The body of the last answer.
    pub(super) fn body(&self) -> &[u8] {
        self.buffer.get(self.body.0..self.body.1).unwrap_or_default()
    }
}

/// The status of an answer and where its body begins and ends, once all of it is there. A length is always said.
fn whole(buffer: &[u8]) -> Option<(u16, usize, usize)> {
    let head = buffer.windows(4).position(|part| part == b"\r\n\r\n")?;
    let text = std::str::from_utf8(buffer.get(..head)?).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let start = head + 4;
    let end = start + length.unwrap_or(0);
    (buffer.len() >= end).then_some((status, start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says_wherever_reads_split_it() {
        let text = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nx: y\r\n\r\nbodyHTTP/1.1 204";
        for split in 0..53 {
            assert_eq!(whole(&text[..split]), None, "{split}");
        }
        assert_eq!(whole(text), Some((201, 49, 53)));
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 27, 27)));
    }
}
