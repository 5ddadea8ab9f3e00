//! One row of /proc/net/unix (`unix_seq_show`, Linux 6.12).

use super::Fault;
use super::inet::Fields;
use crate::model::{UnixKind, UnixRow, UnixState};

/// `__SO_ACCEPTCON` (`linux/net.h`): the socket listens.
const ACCEPTCON: u64 = 1 << 16;

/// A row to read into.
pub fn empty() -> UnixRow {
    UnixRow {
        kind: UnixKind::Other(0),
        state: UnixState::Free,
        listening: false,
        flags: 0,
        refcount: 0,
        inode: 0,
        path: Vec::new(),
        cookie: None,
    }
}

/// Whether a line begins as the rows do: a pointer of 8 or 16 digits, a colon, a blank.
pub fn begins(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    matches!(digits, 8 | 16) && line.get(digits..digits + 2) == Some(b": ")
}

/// Reads a row into `row`, whose memory is used again. On an error `row` is of no use.
pub fn read<'a>(line: &'a [u8], row: &mut UnixRow) -> Result<(), Fault<'a>> {
    if !begins(line) {
        return Err(Fault { column: "Num", wanted: "a pointer and a colon", text: line });
    }
    let mut fields = Fields(line);
    fields.next("Num")?;
    let refcount = fields.hex("RefCount")?;
    fields.hex("Protocol")?;
    let flags = fields.hex("Flags")?;
    let kind = fields.hex("Type")?;
    let state = fields.hex("St")?;
    let inode = fields.decimal("Inode")?;
    let wide = |column| Fault { column, wanted: "as small as it should be", text: line };

    row.refcount = u32::try_from(refcount).map_err(|_out_of_range| wide("RefCount"))?;
    row.listening = flags & ACCEPTCON != 0;
    row.flags = u32::try_from(flags & !ACCEPTCON).map_err(|_out_of_range| wide("Flags"))?;
    row.kind = match u16::try_from(kind).map_err(|_out_of_range| wide("Type"))? {
        1 => UnixKind::Stream,
        2 => UnixKind::Dgram,
        3 => UnixKind::Raw,
        4 => UnixKind::Rdm,
        5 => UnixKind::Seqpacket,
        other => UnixKind::Other(other),
    };
    row.state = match u8::try_from(state).map_err(|_out_of_range| wide("St"))? {
        0 => UnixState::Free,
        1 => UnixState::Unconnected,
        2 => UnixState::Connecting,
        3 => UnixState::Connected,
        4 => UnixState::Disconnecting,
        other => UnixState::Other(other),
    };
    row.inode = inode;
    row.path.clear();
    // One blank, then the path: every further byte belongs to it.
    row.path.extend_from_slice(fields.0.get(1..).unwrap_or_default());
    Ok(())
}
