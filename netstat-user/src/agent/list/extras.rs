//! Details of sockets, for the text of a listing.

use crate::model::SockRow;
use crate::render::detail::{self as render, Parts};
use crate::source::diag::detail;

/// Appends the wanted details to the row at the end of `out`, or below it. `payload` is what sock_diag sent.
pub fn details(out: &mut Vec<u8>, wanted: Parts, row: &SockRow, payload: &[u8]) {
    if !wanted.any() || payload.is_empty() {
        return;
    }
    let detail = detail::detail(payload);
    if wanted.oneline && out.last() == Some(&b'\n') {
        out.pop();
    }
    let start = out.len();
    if !wanted.oneline {
        out.push(b'\t');
    }
    let empty = out.len();
    render::parts(out, wanted, row.state, &detail);
    if out.len() == empty {
        out.truncate(start);
        if !wanted.oneline {
            return;
        }
    } else if !wanted.oneline {
        // The blank before the first part.
        out.remove(empty);
    }
    out.push(b'\n');
}
