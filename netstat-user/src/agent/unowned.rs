//! Why nobody is named who holds a socket.

use crate::model::{SockRow, TcpState, TimerKind};

/// A word of `enetstat.owner.unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unowned {
    /// The kernel holds it, or a process that cannot be seen from here.
    Kernel,
    /// Its process closed it.
    Orphan,
    TimeWait,
    /// It is half open.
    Request,
    NotAccepted,
    /// Not every process may be looked at.
    NotPermitted,
}

impl Unowned {
    /// Of a socket with this inode, which nobody was found to hold; `denied`: not every process could be looked at.
    pub fn of_inode(inode: u64, denied: bool) -> Self {
        match inode {
            0 => Self::NotAccepted,
            _ if denied => Self::NotPermitted,
            _ => Self::Kernel,
        }
    }

    /// The same of an inet socket.
    pub fn of_row(row: &SockRow, denied: bool) -> Self {
        if row.inode != 0 {
            return Self::of_inode(row.inode.into(), denied);
        }
        match row.state {
            _ if row.timer.kind == TimerKind::TimeWait || row.state == TcpState::TimeWait => Self::TimeWait,
            TcpState::SynRecv => Self::Request,
            TcpState::Established | TcpState::CloseWait => Self::NotAccepted,
            TcpState::Listen | TcpState::Close => Self::Kernel,
            _ => Self::Orphan,
        }
    }

    /// In JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Orphan => "orphan",
            Self::TimeWait => "time_wait",
            Self::Request => "request",
            Self::NotAccepted => "not_accepted",
            Self::NotPermitted => "not_permitted",
        }
    }

    /// In the place of a program.
    pub fn text(self) -> &'static [u8] {
        match self {
            Self::Kernel => b"-(kernel)",
            Self::Orphan => b"-(orphan)",
            Self::TimeWait => b"-(time wait)",
            Self::Request => b"-(request)",
            Self::NotAccepted => b"-(not accepted)",
            Self::NotPermitted => b"-(not permitted)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn who_is_missing_is_explained() {
        let why = |state, inode| {
            let row = SockRow { state, inode, ..sample::row() };
            (Unowned::of_row(&row, false).word(), Unowned::of_row(&row, true).word())
        };
        assert_eq!(why(TcpState::Established, 0), ("not_accepted", "not_accepted"));
        assert_eq!(why(TcpState::FinWait1, 0), ("orphan", "orphan"));
        assert_eq!(why(TcpState::SynRecv, 0), ("request", "request"));
        assert_eq!(why(TcpState::TimeWait, 0), ("time_wait", "time_wait"));
        assert_eq!(why(TcpState::Listen, 7), ("kernel", "not_permitted"));
        let word = Unowned::TimeWait;
        assert_eq!(String::from_utf8_lossy(word.text()), format!("-({})", word.word().replace('_', " ")));
    }
}
