//! Sockets of all families, and the queues of listeners.

use super::Show;
use super::owners::{Owners, shown};
use super::rows::Row;
use crate::args::bsd::{Bound, Selected, SocketsPlan};
use crate::model::other::LISTENING;
use crate::model::{Detail, Family, NetlinkRow, Protocol, SockRow, States, TcpState, UnixDetail};
use crate::render::bsd::json::Holding;
use crate::render::bsd::others::{self, Held, Peer, Unix};
use crate::render::bsd::sockets::{self, Listener, Socket, Sockets, Style, UnixListener};
use crate::source::chain;
use crate::source::diag::families::Families;
use crate::source::netlink::{Dumped, NetlinkError};
use rustc_hash::FxHashMap;
use std::net::IpAddr;

impl Show<'_> {
    pub(super) fn sockets(&mut self, plan: &SocketsPlan) -> anyhow::Result<()> {
        self.learn_interfaces();
        let mut diag = self.families();
        let owners = self.owners(plan.processes);
        if !plan.selected.inet.is_empty() {
            let rows = self.inet_rows(plan, diag.as_mut());
            self.inet_table(plan, &rows, &owners);
        }
        let selected = &plan.selected;
        if selected.unix {
            let unix = self.unix_sockets(diag.as_mut(), plan.all, &owners);
            if self.plan.json {
                let at = self.now();
                for socket in &unix {
                    let peer = socket.peer.as_ref().map_or(0, |peer| peer.inode);
                    let (holding, other) = (owners.holding(socket.detail.inode), owners.holding(peer));
                    self.json.unix(&mut self.text, at, socket, holding, other);
                }
            } else {
                others::unix(&mut self.text, &unix, plan.processes, &self.spelling);
            }
        }
        if let Some(diag) = &mut diag {
            self.other_sockets(plan, diag, &owners);
        } else if selected.named {
            self.missing("packet, netlink and vsock sockets are told by sock_diag alone");
        }
        Ok(())
    }

    fn owners(&mut self, wanted: bool) -> Owners {
        match Owners::find() {
            _ if !wanted => Owners::default(),
            Ok(owners) => owners,
            Err(error) => {
                self.missing(format_args!("owners are not known: {}", chain(&error)));
                Owners::default()
            }
        }
    }

    fn inet_rows(&mut self, plan: &SocketsPlan, mut diag: Option<&mut Families>) -> Vec<Row> {
        let mut rows = Vec::new();
        for &(protocol, family) in &plan.selected.inet {
            if plan.bound != Bound::Alone {
                let all = self.inet(diag.as_deref_mut(), protocol, family, States::ALL);
                rows.extend(all.into_iter().filter(|(row, _)| plan.all || is_active(row)));
            }
            if plan.bound != Bound::No && protocol == Protocol::Tcp {
                rows.extend(self.bound(diag.as_deref_mut(), family, plan.bound));
            }
        }
        rows
    }

    fn bound(&mut self, diag: Option<&mut Families>, family: Family, bound: Bound) -> Vec<Row> {
        let mut rows = Vec::new();
        let Some(diag) = diag else {
            if bound == Bound::Alone {
                self.missing("sockets that are only bound are told by sock_diag alone");
            }
            return rows;
        };
        let netns = crate::source::Procfs::host().netns().unwrap_or(0);
        match diag.bound(family, netns, &mut |row, detail| rows.push((*row, *detail))) {
            Ok(dumped) => self.dumped("sockets", &dumped),
            Err(error) => self.missing(chain(&error)),
        }
        // An older kernel gives none, and no sign of it.
        if bound == Bound::Alone && rows.is_empty() && before_bound() {
            self.missing("kernels before Linux 6.8 do not tell sockets that are only bound");
        }
        rows
    }

    fn inet_table(&mut self, plan: &SocketsPlan, rows: &[Row], owners: &Owners) {
        if self.plan.json {
            let at = self.now();
            for (row, detail) in rows {
                self.json.socket(&mut self.text, at, row, detail, owners.of_row(row), &self.spelling);
            }
            return;
        }
        self.resolve(rows.iter().flat_map(|(row, _)| [row.local.addr, row.foreign.addr]));
        let SocketsPlan { pcb, bytes, congestion, processes, detailed, .. } = *plan;
        let style = Style { pcb, bytes, congestion, processes, detailed };
        let mut table = Sockets::new(style, &self.spelling);
        let names = &mut self.names;
        for (row, detail) in rows {
            let process = if processes { shown(owners.of_row(row)) } else { Vec::new() };
            table.measure(Socket { row, detail, process: &process }, names);
        }
        sockets::title(&mut self.text, plan.all);
        table.head(&mut self.text);
        for (row, detail) in rows {
            let process = if processes { shown(owners.of_row(row)) } else { Vec::new() };
            table.socket(&mut self.text, Socket { row, detail, process: &process }, names);
        }
    }

    fn unix_details(&mut self, diag: Option<&mut Families>) -> Vec<UnixDetail> {
        let mut all = Vec::new();
        match diag.map(|diag| diag.unix(&mut |detail| all.push(detail))) {
            Some(Ok(dumped)) => self.dumped("unix sockets", &dumped),
            Some(Err(error)) => self.missing(format_args!("{} (`modprobe unix_diag`)", chain(&error))),
            None => self.missing("unix sockets are here told by sock_diag alone: enetstat -x reads /proc"),
        }
        all
    }

    fn unix_sockets(&mut self, diag: Option<&mut Families>, all: bool, owners: &Owners) -> Vec<Unix> {
        let details = self.unix_details(diag);
        let places: FxHashMap<u32, usize> =
            details.iter().enumerate().map(|(at, detail)| (detail.inode, at)).collect();
        let of = |detail: &UnixDetail| {
            let inode = detail.peer.filter(|inode| *inode != 0)?;
            let other = places.get(&inode).and_then(|at| details.get(*at));
            Some(Peer {
                inode,
                cookie: other.and_then(|other| other.cookie),
                path: other.map(|other| other.path.clone()).unwrap_or_default(),
                process: shown(owners.holding(inode)),
            })
        };
        let shown = details.iter().filter(|detail| all || detail.state != LISTENING);
        shown
            .map(|detail| Unix {
                detail: detail.clone(),
                process: shown_inode(owners, detail.inode),
                peer: of(detail),
            })
            .collect()
    }

    fn other_sockets(&mut self, plan: &SocketsPlan, diag: &mut Families, owners: &Owners) {
        let selected = &plan.selected;
        let (json, at) = (self.plan.json, self.now());
        if selected.packet {
            let mut rows = Vec::new();
            let dumped = diag.packet(&mut |row| rows.push(held(owners, row.inode, row)));
            if self.other("packet", "modprobe af_packet_diag", selected.named, dumped)
                && (selected.named || !rows.is_empty())
            {
                if json {
                    for row in &rows {
                        let holding = owners.holding(row.row.inode);
                        self.json.packet(&mut self.text, at, row, holding, &self.spelling);
                    }
                } else {
                    others::packet(&mut self.text, &rows, plan.processes, &self.spelling);
                }
            }
        }
        if selected.netlink {
            let mut rows = Vec::new();
            let dumped = diag.netlink(&mut |row| {
                let process = shown(of_netlink(owners, &row));
                rows.push(Held { row, process });
            });
            if self.other("netlink", "modprobe netlink_diag", selected.named, dumped)
                && (selected.named || !rows.is_empty())
            {
                if json {
                    for row in &rows {
                        self.json.netlink(&mut self.text, at, row, of_netlink(owners, &row.row));
                    }
                } else {
                    others::netlink(&mut self.text, &rows, plan.processes);
                }
            }
        }
        if selected.vsock {
            let mut rows = Vec::new();
            let dumped = diag.vsock(&mut |row| rows.push(held(owners, row.inode, row)));
            if self.other("vsock", "modprobe vsock_diag", selected.named, dumped)
                && (selected.named || !rows.is_empty())
            {
                if json {
                    for row in &rows {
                        self.json.vsock(&mut self.text, at, row, owners.holding(row.row.inode));
                    }
                } else {
                    others::vsock(&mut self.text, &rows, plan.processes, &self.spelling);
                }
            }
        }
    }

    /// Whether the table is there. That it is not is worth a word when it was asked for by name.
    fn other(
        &mut self,
        name: &'static str,
        cure: &str,
        named: bool,
        dumped: Result<Dumped, NetlinkError>,
    ) -> bool {
        match dumped {
            Ok(dumped) => {
                self.dumped(&format!("{name} sockets"), &dumped);
                true
            }
            Err(error) if error.is_absent() => {
                if named {
                    self.missing(format_args!("this kernel does not tell its {name} sockets (`{cure}`)"));
                }
                false
            }
            Err(error) => {
                self.missing(chain(&error));
                false
            }
        }
    }

    pub(super) fn listen_queues(&mut self, selected: &Selected, pcb: bool) -> anyhow::Result<()> {
        self.learn_interfaces();
        let mut diag = self.families();
        let mut listeners: Vec<Row> = Vec::new();
        let mut requests: Vec<SockRow> = Vec::new();
        let states = States::of(&[TcpState::Listen, TcpState::SynRecv]);
        // Both families, whatever is shown: a listener of IPv6 may have requests of IPv4.
        for family in [Family::V4, Family::V6] {
            let rows = self.inet(diag.as_mut(), Protocol::Tcp, family, states);
            requests.extend(rows.iter().map(|(row, _)| *row).filter(|row| row.state == TcpState::SynRecv));
            listeners.extend(rows.into_iter().filter(|(row, _)| row.state == TcpState::Listen));
        }
        let counts = incomplete(&listeners, &requests);
        let shown = |row: &SockRow| selected.inet.contains(&(Protocol::Tcp, row.family));
        let queues: Vec<Listener<'_>> = listeners
            .iter()
            .zip(&counts)
            .filter(|((row, _), _)| shown(row))
            .map(|((row, _), count)| Listener { row, incomplete: *count })
            .collect();
        let mut unix = Vec::new();
        if selected.unix {
            unix = self.unix_details(diag.as_mut());
            unix.retain(|detail| detail.state == LISTENING);
        }
        if self.plan.json {
            let at = self.now();
            for listener in &queues {
                self.json.listener(&mut self.text, at, *listener, &self.spelling);
            }
            let none = Owners::default();
            for detail in unix {
                let socket = Unix { detail, process: Vec::new(), peer: None };
                self.json.unix(&mut self.text, at, &socket, none.holding(0), none.holding(0));
            }
            return Ok(());
        }
        let unix = unix.into_iter().map(|detail| UnixListener {
            cookie: detail.cookie.map(u64::from),
            waiting: detail.queues.map_or(0, |(waiting, _)| waiting),
            limit: detail.queues.map_or(0, |(_, limit)| limit),
            path: detail.path,
        });
        let unix: Vec<UnixListener> = unix.collect();
        self.resolve(queues.iter().map(|listener| listener.row.local.addr));
        sockets::listen_queues(&mut self.text, &queues, &unix, pcb, &self.spelling, &mut self.names);
        Ok(())
    }

    pub(super) fn captures(&mut self, name: Option<&[u8]>) -> anyhow::Result<()> {
        let links = super::only(self.links()?, name)?;
        let owners = self.owners(true);
        let mut rows = Vec::new();
        let dumped = Families::open()?.packet(&mut |row| rows.push(held(&owners, row.inode, row)));
        if !self.other("packet", "modprobe af_packet_diag", true, dumped) {
            return Ok(());
        }
        // A socket of all interfaces reads from this one, too.
        rows.retain(|held: &Held<_>| {
            let index = held.row.interface;
            name.is_none() || index == 0 || links.iter().any(|link| link.index == index)
        });
        if self.plan.json {
            let at = self.now();
            for row in &rows {
                self.json.packet(&mut self.text, at, row, owners.holding(row.row.inode), &self.spelling);
            }
        } else {
            others::captures(&mut self.text, &rows, &self.spelling);
        }
        Ok(())
    }
}

fn held<T>(owners: &Owners, inode: u32, row: T) -> Held<T> {
    Held { row, process: shown_inode(owners, inode) }
}

/// The kernel's own sockets have port 0.
fn of_netlink<'a>(owners: &'a Owners, row: &NetlinkRow) -> Holding<'a> {
    match owners.holding(row.inode) {
        Holding::Unknown(_) if row.port == 0 => Holding::Unknown("kernel"),
        other => other,
    }
}

fn shown_inode(owners: &Owners, inode: u32) -> Vec<u8> {
    shown(owners.holding(inode))
}

/// Whether this kernel is older than `TCP_BOUND_INACTIVE`.
fn before_bound() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    parts.next().zip(parts.next()).is_some_and(|version| version < (6, 8))
}

/// What BSD shows without `-a`: no listeners, and nothing without a local address.
fn is_active(row: &SockRow) -> bool {
    row.state != TcpState::Listen && !row.local.addr.is_unspecified()
}

/// How many requests each listener has: one with the local address of the request, or else one of every address. Where
/// several listeners share an address it cannot be told whose they are.
fn incomplete(listeners: &[(SockRow, Detail)], requests: &[SockRow]) -> Vec<Option<u32>> {
    let mut counts = vec![Some(0_u32); listeners.len()];
    for request in requests {
        let scores = listeners.iter().map(|(listener, _)| score(listener, request));
        let scores: Vec<Option<u8>> = scores.collect();
        let Some(best) = scores.iter().flatten().max() else { continue };
        let mut of: Vec<usize> = Vec::new();
        of.extend(scores.iter().enumerate().filter(|(_, score)| **score == Some(*best)).map(|(at, _)| at));
        for at in &of {
            if let Some(count) = counts.get_mut(*at) {
                *count = count.filter(|_| of.len() == 1).map(|count| count.saturating_add(1));
            }
        }
    }
    counts
}

/// How well a listener fits a request, as the kernel weighs it (`compute_score`, net/ipv4/inet_hashtables.c, Linux 6.12);
/// `None`: not at all.
fn score(listener: &SockRow, request: &SockRow) -> Option<u8> {
    let (own, wanted) = (listener.local.addr.to_canonical(), request.local.addr.to_canonical());
    if listener.local.port != request.local.port || listener.netns != request.netns {
        return None;
    }
    if listener.bound_if != 0 && request.bound_if != 0 && listener.bound_if != request.bound_if {
        return None;
    }
    let same_kind = own.is_ipv4() == wanted.is_ipv4();
    let exact = own == wanted;
    let any = match listener.local.addr {
        IpAddr::V4(addr) => addr.is_unspecified() && same_kind,
        IpAddr::V6(addr) => addr.is_unspecified() && (!wanted.is_ipv4() || listener.v6only == Some(false)),
    };
    if !(exact || any) {
        return None;
    }
    let own_family = listener.family == request.family;
    Some(u8::from(exact) * 4 + u8::from(listener.bound_if != 0) * 2 + u8::from(own_family))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Endpoint;
    use crate::render::sample;

    fn row(addr: &str, state: TcpState) -> (SockRow, Detail) {
        let addr: IpAddr = addr.parse().unwrap();
        let family = if addr.is_ipv4() { Family::V4 } else { Family::V6 };
        let v6only = (family == Family::V6).then_some(false);
        let local = Endpoint { addr, port: 80 };
        (SockRow { family, local, state, v6only, bound_if: 0, ..sample::row() }, Detail::default())
    }

    #[test]
    fn requests_are_counted_where_they_belong() {
        let listeners = ["127.0.0.1", "0.0.0.0", "::"].map(|addr| row(addr, TcpState::Listen));
        let requests =
            ["127.0.0.1", "127.0.0.1", "10.0.0.1", "::1"].map(|addr| row(addr, TcpState::SynRecv).0);
        assert_eq!(incomplete(&listeners, &requests), [Some(2), Some(1), Some(1)]);
        let dual = [row("::", TcpState::Listen)];
        let mapped = row("::ffff:10.0.0.1", TcpState::SynRecv).0;
        assert_eq!(incomplete(&dual, &[mapped, requests[2]]), [Some(2)]);
        let mut only = dual;
        only[0].0.v6only = Some(true);
        assert_eq!(incomplete(&only, &[mapped]), [Some(0)]);
    }

    #[test]
    fn of_listeners_that_share_an_address_nothing_is_told() {
        let listeners = [row("127.0.0.1", TcpState::Listen), row("127.0.0.1", TcpState::Listen)];
        assert_eq!(incomplete(&listeners, &[]), [Some(0), Some(0)]);
        let request = row("127.0.0.1", TcpState::SynRecv).0;
        assert_eq!(incomplete(&listeners, &[request]), [None, None]);
    }

    #[test]
    fn what_has_no_local_address_is_for_a_alone() {
        assert!(is_active(&row("127.0.0.1", TcpState::Established).0));
        assert!(!is_active(&row("127.0.0.1", TcpState::Listen).0));
        assert!(!is_active(&row("0.0.0.0", TcpState::Close).0));
    }
}
