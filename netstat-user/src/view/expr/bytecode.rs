//! Expressions as the kernel takes them with a listing: `INET_DIAG_REQ_BYTECODE` (`linux/inet_diag.h`; run by `inet_diag_bc_run`
//! and checked by `inet_diag_bc_audit` in net/ipv4/inet_diag.c, Linux 6.12).
//!
//! Each operation says how far to go when it holds (`yes`) and when not (`no`), in bytes. Who arrives exactly at the end is
//! accepted, four bytes behind it refused.

use super::{Address, Cgroup, Compare, Cond, Device, Expr, Host, Port, Selection, Side};
use crate::view::Prefix;
use std::net::IpAddr;

/// `INET_DIAG_BC_*`.
mod op {
    pub const JUMP: u8 = 1;
    pub const LOCAL_AT_LEAST: u8 = 2;
    pub const LOCAL_AT_MOST: u8 = 3;
    pub const FOREIGN_AT_LEAST: u8 = 4;
    pub const FOREIGN_AT_MOST: u8 = 5;
    pub const AUTO: u8 = 6;
    pub const LOCAL: u8 = 7;
    pub const FOREIGN: u8 = 8;
    pub const DEVICE: u8 = 9;
    pub const MARK: u8 = 10;
    pub const CGROUP: u8 = 13;
}

/// Size of `struct inet_diag_bc_op`.
const OP: usize = 4;

/// Bytes of code: distances are of 16 bits.
const MOST: usize = 60_000;

/// What this kernel understands and this process may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Able {
    /// Marks need CAP_NET_ADMIN.
    pub marks: bool,
    /// Linux 5.9.
    pub cgroups: bool,
}

impl Selection {
    /// Code that accepts every socket that is wanted, and as few others as can be told; `None`: the kernel can tell nothing.
    /// The rows have to be looked at again.
    pub fn bytecode(&self, able: Able) -> Option<Vec<u8>> {
        let code = most(self.expr.as_ref()?, able)?;
        (code.len() <= MOST).then_some(code)
    }
}

/// Code for as much of the expression as there is code for, accepting more rather than less.
fn most(expr: &Expr, able: Able) -> Option<Vec<u8>> {
    if let Some(code) = exact(expr, able) {
        return Some(code);
    }
    match expr {
        Expr::And(left, right) => match (most(left, able), most(right, able)) {
            (Some(left), Some(right)) => Some(both(left, right)),
            (one, other) => one.or(other),
        },
        Expr::Or(left, right) => Some(either(most(left, able)?, most(right, able)?)),
        Expr::Not(_) | Expr::Leaf(_) => None,
    }
}

fn exact(expr: &Expr, able: Able) -> Option<Vec<u8>> {
    let code = match expr {
        Expr::Leaf(cond) => condition(cond, able)?,
        Expr::Not(inner) => {
            let mut code = exact(inner, able)?;
            // Who held goes behind the end; who did not, over this.
            jump(&mut code, 2 * OP);
            code
        }
        Expr::And(left, right) => both(exact(left, able)?, exact(right, able)?),
        Expr::Or(left, right) => either(exact(left, able)?, exact(right, able)?),
    };
    (code.len() <= MOST).then_some(code)
}

/// Those that `left` refuses are refused behind `right`, too.
fn both(mut left: Vec<u8>, right: Vec<u8>) -> Vec<u8> {
    let length = left.len();
    let mut at = 0;
    while let Some(&[_, yes, low, high]) = left.get(at..at + OP) {
        let no = usize::from(u16::from_ne_bytes([low, high]));
        if at + no == length + OP {
            let no = u16::try_from(no + right.len()).unwrap_or(u16::MAX);
            left[at + 2..at + OP].copy_from_slice(&no.to_ne_bytes());
        }
        at += usize::from(yes).max(OP);
    }
    left.extend_from_slice(&right);
    left
}

/// Those that `left` refuses arrive behind the jump, where `right` begins.
fn either(mut left: Vec<u8>, right: Vec<u8>) -> Vec<u8> {
    jump(&mut left, OP + right.len());
    left.extend_from_slice(&right);
    left
}

fn jump(code: &mut Vec<u8>, distance: usize) {
    put(code, op::JUMP, OP, distance);
}

fn put(code: &mut Vec<u8>, op: u8, yes: usize, no: usize) {
    // Conditions have at most 28 bytes, and code at most 60000 when it is used.
    code.extend_from_slice(&[op, u8::try_from(yes).unwrap_or(u8::MAX)]);
    code.extend_from_slice(&u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes());
}

/// An operation with its operand, which is the last of the code.
fn operation(op: u8, operand: &[u8]) -> Vec<u8> {
    let length = OP + operand.len();
    let mut code = Vec::with_capacity(length);
    put(&mut code, op, length, length + OP);
    code.extend_from_slice(operand);
    code
}

fn condition(cond: &Cond, able: Able) -> Option<Vec<u8>> {
    match cond {
        Cond::Host(side, host) => host_code(*side, host),
        Cond::Port(side, Compare::Equal, _, port) => {
            let any = Host { kind: None, address: Address::Any, port: Some(port.clone()) };
            host_code(*side, &any)
        }
        Cond::Port(side, compare, _, Port::Number(port)) => {
            let op = match (side, compare) {
                (Side::Local, Compare::AtMost) => op::LOCAL_AT_MOST,
                (Side::Foreign, Compare::AtMost) => op::FOREIGN_AT_MOST,
                (Side::Local, _) => op::LOCAL_AT_LEAST,
                (Side::Foreign, _) => op::FOREIGN_AT_LEAST,
            };
            let [low, high] = port.to_ne_bytes();
            // The port is where another operation has its `no`.
            Some(operation(op, &[0, 0, low, high]))
        }
        Cond::Port(_, _, _, Port::Any(_) | Port::Name(_)) => None,
        Cond::Device(Device::Index(index)) => Some(operation(op::DEVICE, &index.to_ne_bytes())),
        Cond::Mark { value, mask } if able.marks => {
            Some(operation(op::MARK, &[value.to_ne_bytes(), mask.to_ne_bytes()].concat()))
        }
        Cond::Cgroup(Cgroup::Id(id)) if able.cgroups => Some(operation(op::CGROUP, &id.to_ne_bytes())),
        Cond::Autobound => Some(operation(op::AUTO, &[])),
        Cond::Device(_) | Cond::Mark { .. } | Cond::Cgroup(_) => None,
    }
}

/// One operation for each address and port.
fn host_code(side: Side, host: &Host) -> Option<Vec<u8>> {
    let prefixes: Vec<Option<Prefix>> = match &host.address {
        Address::Any => vec![None],
        Address::Prefixes(prefixes) => prefixes.iter().copied().map(Some).collect(),
        Address::Name(_) | Address::Path(_) => return None,
    };
    let ports: Vec<Option<u16>> = match &host.port {
        None => vec![None],
        Some(Port::Number(port)) => vec![Some(*port)],
        Some(Port::Any(ports)) => ports.iter().copied().map(Some).collect(),
        Some(Port::Name(_)) => return None,
    };
    let pairs = prefixes.iter().flat_map(|prefix| ports.iter().map(move |port| (*prefix, *port)));
    pairs.map(|(prefix, port)| one(side, prefix, port)).reduce(either)
}

/// `struct inet_diag_hostcond`: family, length of the prefix, port (-1: any), address.
fn one(side: Side, prefix: Option<Prefix>, port: Option<u16>) -> Vec<u8> {
    let (family, len) = match prefix.map(|prefix| (prefix.addr(), prefix.len())) {
        None => (0, 0),
        Some((IpAddr::V4(_), len)) => (2, len),
        Some((IpAddr::V6(_), len)) => (10, len),
    };
    let mut operand = vec![family, len, 0, 0];
    operand.extend_from_slice(&port.map_or(-1, i32::from).to_ne_bytes());
    match prefix.map(|prefix| prefix.addr()) {
        None => {}
        Some(IpAddr::V4(addr)) => operand.extend_from_slice(&addr.octets()),
        Some(IpAddr::V6(addr)) => operand.extend_from_slice(&addr.octets()),
    }
    operation(if side == Side::Local { op::LOCAL } else { op::FOREIGN }, &operand)
}
