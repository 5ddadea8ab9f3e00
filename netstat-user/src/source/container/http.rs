//! As much of HTTP/1.0 (RFC 1945) as asking a daemon on this host by its socket takes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A longer answer is none.
const MOST: usize = 4 << 20;

/// The body of what the daemon behind `socket` answers to a GET of `path`.
///
/// # Errors
/// When there is no daemon, when it takes longer than `patience`, or when it answers anything but 200.
pub fn get(socket: &Path, path: &str, patience: Duration) -> io::Result<Vec<u8>> {
    let until = Instant::now() + patience;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 16 << 10];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            length => answer.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
        if answer.len() > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    body(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The body of an answer with the status 200; `None` for any other, and for what is no answer. A daemon may send chunks
/// (RFC 9112 section 7.1) though HTTP/1.0 has none.
pub fn body(answer: &[u8]) -> Option<Vec<u8>> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (answer.get(..end)?, answer.get(end + 4..)?);
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let mut status = lines.next()?.split(|&byte| byte == b' ');
    if !status.next()?.starts_with(b"HTTP/1.") || status.next()? != b"200" {
        return None;
    }
    let chunked = lines.any(|line| line.eq_ignore_ascii_case(b"transfer-encoding: chunked"));
    if chunked { chunks(body) } else { Some(body.to_vec()) }
}

fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = rest.get(..end)?.split(|&byte| byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bodies_are_found_whole_and_in_chunks() {
        let whole = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}";
        assert_eq!(body(whole).as_deref(), Some(&b"{}"[..]));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2;x=y\r\n1}\r\n0\r\n\r\n";
        assert_eq!(body(chunked).as_deref(), Some(&b"{\"a\":1}"[..]));
        for other in [
            &b"HTTP/1.1 404 Not Found\r\n\r\n{}"[..],
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort\r\n",
        ] {
            assert_eq!(body(other), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = body(&bytes);
            let chunked = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &bytes].concat();
            let _ = body(&chunked);
        }
    }
}
