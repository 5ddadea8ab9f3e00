//! Which sockets are meant, beside what a filter says of each.

use super::flags::{InsideFlags, TraceFlags};
use crate::model::{Told, Transport};
use crate::view::Inside;

/// Where what is shown lives, and the columns about that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InsidePlan {
    pub filter: Inside,
    /// Columns of containers and of pods.
    pub containers: bool,
    /// A column of control groups.
    pub cgroups: bool,
}

impl InsidePlan {
    /// Whether anything must be known about where sockets live.
    pub fn is_wanted(&self) -> bool {
        self.containers || self.cgroups || !self.filter.is_empty()
    }

    pub(super) fn of(flags: InsideFlags) -> Self {
        let InsideFlags { containers, pods, cgroups, show_containers, show_cgroups } = flags;
        Self {
            containers: show_containers || !containers.is_empty() || !pods.is_empty(),
            cgroups: show_cgroups || !cgroups.is_empty(),
            filter: Inside { containers, pods, cgroups },
        }
    }
}

/// Which protocols are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    pub tcp: bool,
    /// With UDP-Lite.
    pub udp: bool,
    pub unix: bool,
    pub mptcp: bool,
    pub sctp: bool,
}

impl Traced {
    /// What those words mean: TCP when there is none.
    pub(super) fn of(flags: &TraceFlags) -> Self {
        let TraceFlags { tcp, udp, unix, mptcp, sctp, .. } = *flags;
        Self { tcp: tcp || !(udp || unix || mptcp || sctp), udp, unix, mptcp, sctp }
    }

    /// Whether a line is about one of them. A repair is shown always: it says what all of them missed.
    pub fn wants(self, told: &Told) -> bool {
        match told {
            Told::Transition(_) | Told::Ended(_) | Told::Queue { .. } => self.tcp,
            Told::Socket(change) => match change.socket.transport {
                Transport::Udp | Transport::UdpLite => self.udp,
                Transport::Unix(_) => self.unix,
                Transport::Mptcp => self.mptcp,
                Transport::Sctp => self.sctp,
            },
            Told::Repaired(_) => true,
        }
    }
}
