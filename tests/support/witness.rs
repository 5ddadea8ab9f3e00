//! What the kernel keeps from every BPF program.
//!
//! Some kernels run no BPF program while a thread of process 1 is on the processor, and count nothing as left out. What an
//! interrupt's softirq does on top of such a thread is then seen by tracefs only: see tests/live/README.md.

use crate::json::{Kind, Line};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

/// Lines of the trace file by the socket's ports, its own first.
pub type Unseen = BTreeMap<(u16, u16), Vec<String>>;

/// Records the steps of TCP sockets under threads of process 1 until it is dropped.
pub struct Witness {
    /// Keeps the mount, which nobody else sees.
    _tracefs: OwnedFd,
    instance: PathBuf,
}

impl Witness {
    /// Begins to record; `None` where there is no tracefs to be had.
    ///
    /// # Errors
    /// There is one, but it does not do what it should.
    pub fn start() -> Result<Option<Self>> {
        // In a mount namespace of a thread's own, so that nothing is left behind.
        let opened =
            std::thread::spawn(tracefs).join().unwrap_or_else(|_| Err(std::io::Error::other("panicked")));
        let Ok(tracefs) = opened else { return Ok(None) };
        let root = PathBuf::from(format!("/proc/self/fd/{}", tracefs.as_raw_fd()));
        let instance = root.join("instances").join(format!("witness-{}", std::process::id()));
        std::fs::create_dir(&instance).with_context(|| format!("making {}", instance.display()))?;
        let witness = Self { _tracefs: tracefs, instance };
        let mut threads = String::new();
        for thread in std::fs::read_dir("/proc/1/task").context("listing the threads of process 1")? {
            threads.push_str(&thread?.file_name().to_string_lossy());
            threads.push(' ');
        }
        witness.write("set_event_pid", &threads)?;
        witness.write("events/sock/inet_sock_set_state/enable", "1")?;
        Ok(Some(witness))
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.instance.join(file);
        std::fs::write(&path, text).with_context(|| format!("writing {text:?} to {}", path.display()))
    }

    /// Steps under process 1 of which `lines` tell none as an event. Where a program did see such a step the kernel keeps
    /// nothing back: none then.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn unseen(&self, lines: &[Line]) -> Result<Unseen> {
        let text = std::fs::read_to_string(self.instance.join("trace")).context("reading the witness")?;
        let told: BTreeSet<_> = lines
            .iter()
            .filter(|line| line.kind == Kind::Transition && line.learnt.as_deref() == Some("event"))
            .filter_map(|line| Some(((line.local?.port(), line.peer?.port()), line.step()?)))
            .map(|(ports, (from, to))| (ports, format!("{from:?}"), format!("{to:?}")))
            .collect();
        let known: BTreeSet<_> = told.iter().map(|(ports, ..)| *ports).collect();
        let mut unseen = BTreeMap::new();
        for step in text.lines().filter(|line| line.contains("inet_sock_set_state:")) {
            let fields: BTreeMap<_, _> = step.split(' ').filter_map(|field| field.split_once('=')).collect();
            let get = |name| fields.get(name).copied().with_context(|| format!("no {name} in {step:?}"));
            let ports = (get("sport")?.parse()?, get("dport")?.parse()?);
            if told.contains(&(ports, state(get("oldstate")?), state(get("newstate")?))) {
                return Ok(BTreeMap::new());
            }
            // Others are in other namespaces.
            if !known.contains(&ports) {
                continue;
            }
            unseen.entry(ports).or_insert_with(Vec::new).push(step.trim().to_owned());
        }
        Ok(unseen)
    }
}

/// `TCP_FIN_WAIT1` as our name of it is written: `FinWait1`.
fn state(kernel: &str) -> String {
    let words = kernel.trim_start_matches("TCP_").split('_');
    words.map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase())).collect()
}

impl Drop for Witness {
    fn drop(&mut self) {
        // A test that fails for another reason says that.
        let _ = self.write("events/sock/inet_sock_set_state/enable", "0");
        let _ = std::fs::remove_dir(&self.instance);
    }
}

/// A tracefs of the running thread's own.
fn tracefs() -> std::io::Result<OwnedFd> {
    // SAFETY: the call changes only which mounts and which working directory this thread has, and it ends after this.
    crate::sys::checked(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tracefs", "/mnt", "tracefs", MountFlags::empty(), None)?;
    Ok(rustix::fs::open("/mnt", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::state;

    #[test]
    fn states_are_named_as_ours() {
        assert_eq!(state("TCP_FIN_WAIT1"), format!("{:?}", netstat_common::TcpState::FinWait1));
        assert_eq!(state("TCP_LAST_ACK"), format!("{:?}", netstat_common::TcpState::LastAck));
        assert_eq!(state("TCP_SYN_SENT"), format!("{:?}", netstat_common::TcpState::SynSent));
        assert_eq!(state("TCP_CLOSE"), format!("{:?}", netstat_common::TcpState::Close));
    }
}
