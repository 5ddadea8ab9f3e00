//! What is done at a hook, whichever way it was reached.

pub mod owner;
pub mod queue;
pub mod state;

use crate::maps::config;
use crate::sock::Sock;
use netstat_common::config::MAX_PORTS;
use netstat_common::judge;

/// Whether the filters of `CONFIG` let the socket through.
#[inline(always)]
fn is_wanted<S: Sock>(sock: S) -> bool {
    let netns = config!(netns);
    if netns != 0 && sock.netns() != netns {
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
