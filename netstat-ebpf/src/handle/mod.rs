//! What is done at a hook, whichever way it was reached.

pub mod files;
pub mod life;
pub mod mini;
pub mod owner;
pub mod queue;
pub mod reset;
pub mod state;
pub mod window;

use crate::maps::{HERE, config};
use crate::sock::Sock;
use netstat_common::config::MAX_PORTS;
use netstat_common::judge;

/// Whether the socket is in the namespace that is asked for. Its inode lies beside a counter that every new socket
/// changes, on any processor, so it is only looked at until the address of the namespace is known; whoever asks for a
/// namespace keeps it alive, so that the address stays its own.
#[inline(always)]
fn is_here<S: Sock>(sock: S) -> bool {
    let net = sock.net();
    if HERE.load() == net as u64 && !net.is_null() {
        return true;
    }
    let here = sock.inum(net) == config!(netns);
    if here {
        HERE.store(net as u64);
    }
    here
}

/// Whether the filters of `CONFIG` let the socket through.
#[inline(always)]
fn is_wanted<S: Sock>(sock: S) -> bool {
    if config!(netns) != 0 && !is_here(sock) {
        return false;
    }
    let count = config!(port_count) as usize;
    if count == 0 {
        return true;
    }
    let (local, foreign) = (sock.lport(), sock.rport());
    let first = core::mem::offset_of!(netstat_common::Config, ports);
    for index in 0..MAX_PORTS {
        if index >= count {
            break;
        }
        let port: u16 = crate::maps::config_at(first + index * size_of::<u16>(), |all| &all.ports[0]);
        if judge::port_wanted(&[port], local, foreign) {
            return true;
        }
    }
    false
}
