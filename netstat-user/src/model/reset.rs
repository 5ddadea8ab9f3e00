//! Resets, and the kernel's words for why it sends one.

/// Which way a reset went.
pub use netstat_common::event::Reset as Way;

/// A reset that was sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    pub way: Way,
    /// The running kernel's number for why it was sent (`enum sk_rst_reason`, include/net/rstreason.h, since 6.10); `None`
    /// where the kernel does not tell, and of every reset that was received.
    pub reason: Option<u16>,
}

/// The running kernel's names of those numbers, which differ from one kernel to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetNames(Vec<(u32, Box<[u8]>)>);

/// What all names begin with.
const PREFIX: &[u8] = b"SK_RST_REASON_";

impl ResetNames {
    pub fn new<'a>(all: impl IntoIterator<Item = (u32, &'a [u8])>) -> Self {
        let short = |name: &'a [u8]| Box::from(name.strip_prefix(PREFIX).unwrap_or(name));
        Self(all.into_iter().map(|(value, name)| (value, short(name))).collect())
    }

    /// The kernel's word, without what all of them begin with (`TCP_ABORT_ON_CLOSE`).
    pub fn name(&self, reason: u16) -> Option<&[u8]> {
        self.0.iter().find(|(value, _)| *value == u32::from(reason)).map(|(_, name)| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernel_s_without_their_prefix() {
        let names = ResetNames::new([(0, &b"SK_RST_REASON_NOT_SPECIFIED"[..]), (9, b"ODD")]);
        assert_eq!(names.name(0), Some(&b"NOT_SPECIFIED"[..]));
        assert_eq!(names.name(9), Some(&b"ODD"[..]));
        assert_eq!(names.name(1), None);
        assert_eq!(ResetNames::default().name(0), None);
    }
}
