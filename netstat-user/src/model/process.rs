//! Processes, as far as they own sockets.

/// A process (thread group), in the PID namespace of the initial host for kernel events and of the reader's /proc for
/// scans; never 0.
pub type Pid = std::num::NonZeroU32;

/// `task_struct.comm` of the thread group's leader: up to 15 bytes, any bytes, NUL-padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Comm([u8; 16]);

impl Comm {
    /// The bytes before the first NUL.
    pub fn bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }

    /// At most 15 bytes of `name`, and none from the first NUL on: before 5.17 a task keeps the rest of a longer name behind its
    /// present one (`__set_task_comm`, fs/exec.c, 5.10).
    pub fn from_bytes(name: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let name = name.iter().take(15).take_while(|&&byte| byte != 0);
        for (into, &byte) in bytes.iter_mut().zip(name) {
            *into = byte;
        }
        Self(bytes)
    }
}

/// A process at one moment of its life; an exec makes another of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: Pid,
    pub comm: Comm,
    /// Nanoseconds of CLOCK_BOOTTIME; 0 when unknown.
    pub start: u64,
    /// Real user; `None` when unknown.
    pub uid: Option<u32>,
    pub parent: Option<Pid>,
    /// Its number in its own PID namespace; `None` when unknown.
    pub inner: Option<Pid>,
}

impl Process {
    /// A process of which only number and name are known.
    pub const fn named(pid: Pid, comm: Comm) -> Self {
        Self { pid, comm, start: 0, uid: None, parent: None, inner: None }
    }
}

#[cfg(test)]
mod tests {
    use super::Comm;

    #[test]
    fn what_is_left_of_a_former_name_is_no_part_of_it() {
        let kept = Comm::from_bytes(b"storm\x000f4ad4484294");
        assert_eq!((kept, kept.bytes()), (Comm::from_bytes(b"storm"), &b"storm"[..]));
        assert_eq!(Comm::from_bytes(b"sixteen-or-more-bytes").bytes(), b"sixteen-or-more");
    }
}
