//! SOCK_DESTROY: ends a socket as its own process could, with an error for who uses it (ECONNABORTED).

use super::query;
use super::wire::{DONE, ERROR, FLAG_ACK, Messages, SOCK_DESTROY};
use super::{Diag, DiagError, refusal};
use crate::model::SockRow;
use rustix::io::Errno;

/// What became of a socket that was to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destroyed {
    Now,
    /// It had gone before.
    Gone,
}

impl Diag {
    /// Destroys the socket of a row of this namespace: the one with its cookie, and no other.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, in a kernel without CONFIG_INET_DIAG_DESTROY, or for a protocol that cannot do it.
    pub fn destroy(&mut self, row: &SockRow) -> Result<Destroyed, DiagError> {
        let (protocol, family) = (row.protocol, row.family);
        let seq = self.next_seq();
        self.output.clear();
        query::destroy(row).put_as(SOCK_DESTROY, FLAG_ACK, seq, b"", &mut self.output);
        self.send()?;
        loop {
            let length = self.receive()?;
            for message in Messages(&self.input[..length]) {
                let message = message.map_err(|source| DiagError::Malformed { protocol, family, source })?;
                if message.seq != seq || !matches!(message.kind, DONE | ERROR) {
                    continue;
                }
                return match refusal(&message, protocol, family) {
                    Ok(()) => Ok(Destroyed::Now),
                    Err(DiagError::Refused { source, .. }) => {
                        match source.raw_os_error().map(Errno::from_raw_os_error) {
                            Some(Errno::NOENT | Errno::STALE) => Ok(Destroyed::Gone),
                            _ => Err(DiagError::NotDestroyed { protocol, family, source }),
                        }
                    }
                    Err(other) => Err(other),
                };
            }
        }
    }
}
