//! `PID/name` of the first process that holds each socket, as net-tools finds it.

use crate::kernel::selinux;
use crate::model::Pid;
use crate::render::compat::{Holder, NOBODY, PROGRAM};
use crate::source::owner;
use rustc_hash::FxHashMap;
use std::path::Path;

/// Bytes that net-tools reads of a command line.
const COMMAND: usize = 511;

/// Holders by inode.
#[derive(Debug, Default)]
pub struct Programs {
    by_inode: FxHashMap<u32, Pid>,
    texts: FxHashMap<Pid, Text>,
}

#[derive(Debug)]
struct Text {
    program: Vec<u8>,
    context: Vec<u8>,
}

impl Programs {
    /// Looks at every process of this host, and adds to `said` what net-tools says when it may not look at all of them.
    pub fn find(contexts: bool, said: &mut Vec<u8>) -> Self {
        let proc = Path::new("/proc");
        let mut programs = Self::default();
        let Ok(scan) = owner::scan(proc, None) else {
            said.extend_from_slice(nothing().as_bytes());
            return programs;
        };
        for holder in &scan.holders {
            let pid = holder.process.pid;
            programs.by_inode.entry(holder.inode).or_insert(pid);
            programs.texts.entry(pid).or_insert_with(|| {
                let command = scan.argv0.get(&pid).map(|word| &**word).unwrap_or_default();
                let context = contexts.then(|| selinux::context(proc, pid)).flatten();
                Text { program: text(pid, command), context: context.unwrap_or_else(|| b"-".to_vec()) }
            });
        }
        if scan.shut > 0 {
            let note = if programs.by_inode.is_empty() { nothing() } else { SOME.to_owned() };
            said.extend_from_slice(note.as_bytes());
        }
        programs
    }

    /// Who holds the socket, in two texts.
    pub fn of(&self, inode: u64) -> Holder<'_> {
        let inode = u32::try_from(inode).ok().filter(|&inode| inode != 0);
        let text = inode.and_then(|inode| self.texts.get(self.by_inode.get(&inode)?));
        text.map_or(NOBODY, |text| Holder { program: &text.program, context: &text.context })
    }
}

const SOME: &str = "(Not all processes could be identified, non-owned process info\n \
    will not be shown, you would have to be root to see it all.)\n";

fn nothing() -> String {
    let user = rustix::process::geteuid().as_raw();
    format!("(No info could be read for \"-p\": geteuid()={user} but you should be root.)\n")
}

/// Of an absolute path the last part.
fn text(pid: Pid, command: &[u8]) -> Vec<u8> {
    let command = command.get(..COMMAND).unwrap_or(command);
    let name = match command.iter().rposition(|&byte| byte == b'/') {
        Some(at) if command.starts_with(b"/") => command.get(at + 1..).unwrap_or_default(),
        _ => command,
    };
    let mut text = format!("{pid}/").into_bytes();
    text.extend_from_slice(name);
    text.truncate(PROGRAM);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_after_19_bytes() {
        let pid = Pid::new(16896).unwrap();
        assert_eq!(text(pid, b"sshd: user [priv]"), b"16896/sshd: user [p");
        assert_eq!(text(pid, b"/usr/sbin/nginx"), b"16896/nginx");
        assert_eq!(text(pid, b""), b"16896/");
        let long = [&b"/"[..], &b"a".repeat(600), b"/b"].concat();
        assert_eq!(text(pid, &long), b"16896/aaaaaaaaaaaaa");
    }
}
