//! Rows of TCP sockets in a file, as `ss -D` writes them and `TCPDIAG_FILE` names them: the messages of the kernel, one behind the
//! other.

use super::Pass;
use super::decode;
use super::wire::{DONE, ERROR, HEADER, Messages, SOCK_DIAG_BY_FAMILY, WireError};
use crate::model::{Family, Protocol, SockRow};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The largest file that is read: a million rows have 440 MB.
const MOST: u64 = 4 << 30;

/// Why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error("cannot {op} the recorded sockets in {}", path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no record of sockets (ss -D or enetstat --dump write one)", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: WireError,
    },
}

/// Gives each recorded row of the family, and its payload. As ss writes an end behind each family, an end in the middle is none.
///
/// # Errors
/// When the file cannot be read, or a row of it; rows before were given.
pub fn read(
    path: &Path,
    family: Family,
    each: &mut dyn FnMut(&SockRow, &[u8]),
) -> Result<Pass, RecordedError> {
    let failed = |source| RecordedError::Io { op: "read", path: path.to_owned(), source };
    let malformed = |source| RecordedError::Malformed { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
    let mut pass = Pass::default();
    for message in Messages(&bytes) {
        let message = message.map_err(malformed)?;
        match message.kind {
            SOCK_DIAG_BY_FAMILY => {
                let row = decode::row(message.payload, Protocol::Tcp, 0).map_err(malformed)?;
                if row.family == family {
                    pass.rows += 1;
                    each(&row, message.payload);
                }
            }
            DONE | ERROR => {}
            stranger => {
                let value = u32::from(stranger);
                return Err(malformed(WireError::Unknown { what: "netlink message type", value }));
            }
        }
    }
    Ok(pass)
}

/// Appends a row by its payload.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut dyn Write, payload: &[u8]) -> io::Result<()> {
    message(out, SOCK_DIAG_BY_FAMILY, payload)
}

/// Appends the end, at which ss stops to read.
///
/// # Errors
/// When `out` cannot be written.
pub fn finish(out: &mut dyn Write) -> io::Result<()> {
    message(out, DONE, &[0; 4])
}

fn message(out: &mut dyn Write, kind: u16, payload: &[u8]) -> io::Result<()> {
    let length = HEADER + payload.len();
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    header[4..6].copy_from_slice(&kind.to_ne_bytes());
    // `NLM_F_MULTI`: one of several.
    header[6..8].copy_from_slice(&2u16.to_ne_bytes());
    out.write_all(&header)?;
    out.write_all(payload)?;
    out.write_all(&[0; 3][..length.next_multiple_of(4) - length])
}
