//! Details of sockets, for the text of a listing.

use super::Lister;
use crate::model::SockRow;
use crate::render::detail::{self as render, Parts};
use crate::source::cgroup;
use crate::source::diag::detail;
use crate::view::Column;
use rustc_hash::FxHashMap;
use std::path::Path;

impl Lister<'_> {
    /// Finds the paths of cgroups, when they are shown.
    pub(super) fn find_cgroups(&mut self) {
        let plan = self.plan;
        let sorted = plan.sort.map(|sort| sort.column);
        if plan.details.cgroup
            || plan.columns.iter().copied().chain(sorted).any(|column| column == Column::Cgroup)
        {
            self.cgroups = cgroup::paths(Path::new("/proc"));
        }
    }
}

/// Appends the wanted details to the row at the end of `out`, or below it. `payload` is what sock_diag sent.
pub fn details(
    out: &mut Vec<u8>,
    wanted: Parts,
    row: &SockRow,
    payload: &[u8],
    cgroups: &FxHashMap<u64, Vec<u8>>,
) {
    if !wanted.any() || payload.is_empty() {
        return;
    }
    let detail = detail::detail(payload);
    let cgroup = detail.cgroup.and_then(|id| cgroups.get(&id)).map(Vec::as_slice);
    if wanted.oneline && out.last() == Some(&b'\n') {
        out.pop();
    }
    let start = out.len();
    if !wanted.oneline {
        out.push(b'\t');
    }
    let empty = out.len();
    render::parts(out, wanted, row.state, &detail, cgroup);
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
