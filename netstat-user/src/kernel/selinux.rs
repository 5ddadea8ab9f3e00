//! SELinux: whether it is enabled, and the contexts of processes.

use crate::model::Pid;
use std::path::Path;

/// Whether the policy language rules this host, as libselinux decides it: the file system of SELinux is mounted and
/// there is a configuration. `root` is normally `/`.
pub fn is_enabled(root: &Path) -> bool {
    // Most hosts lack the configuration, and need not tell their mounts.
    root.join("etc/selinux/config").exists()
        && is_mounted(&std::fs::read(root.join("proc/mounts")).unwrap_or_default())
}

/// Whether one of the lines of /proc/mounts has the type `selinuxfs` in its third column.
fn is_mounted(mounts: &[u8]) -> bool {
    mounts
        .split(|&byte| byte == b'\n')
        .any(|line| line.split(|&byte| byte == b' ').nth(2) == Some(b"selinuxfs".as_slice()))
}

/// The context of a process below `proc`, normally /proc; `None` when it has none or does not show it.
pub fn context(proc: &Path, pid: Pid) -> Option<Vec<u8>> {
    let mut text = std::fs::read(proc.join(pid.to_string()).join("attr/current")).ok()?;
    let end = text.iter().position(|&byte| byte == 0 || byte == b'\n').unwrap_or(text.len());
    text.truncate(end);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_mount_is_its_third_word() {
        assert!(is_mounted(b"proc /proc proc rw 0 0\nselinuxfs /sys/fs/selinux selinuxfs rw,relatime 0 0\n"));
        assert!(!is_mounted(b"selinuxfs /selinuxfs proc rw 0 0\n"));
        assert!(!is_mounted(b""));
    }

    #[test]
    fn contexts_end_at_their_nul() {
        let root = tempfile::tempdir().unwrap();
        let pid = Pid::new(7).unwrap();
        assert_eq!(context(root.path(), pid), None);
        let attributes = root.path().join("7/attr");
        std::fs::create_dir_all(&attributes).unwrap();
        std::fs::write(attributes.join("current"), b"system_u:system_r:sshd_t:s0\0").unwrap();
        assert_eq!(context(root.path(), pid).as_deref(), Some(b"system_u:system_r:sshd_t:s0".as_slice()));
        assert!(!is_enabled(root.path()));
    }
}
