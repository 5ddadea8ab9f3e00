//! The columns that can be asked for by name: their titles, their names in JSON and what they mean, once. `--columns`, `--sort`, the
//! manual pages and the completions are made from this table.

use std::str::FromStr;

/// A line of the table of columns.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub name: &'static str,
    pub title: &'static str,
    /// Its cells stand at the right end.
    pub right: bool,
    /// The fields of JSON that carry it.
    pub fields: &'static [&'static str],
    pub meaning: &'static str,
}

macro_rules! columns {
    ($($column:ident = $name:literal, $title:literal, $right:literal, [$($field:literal),*], $meaning:literal;)*) => {
        /// A column; its line in [`COLUMNS`] is `COLUMNS[column as usize]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Column { $($column,)* }

        /// Every column, in the order of [`Column`].
        pub const COLUMNS: &[Spec] = &[$(Spec {
            name: $name, title: $title, right: $right, fields: &[$($field),*], meaning: $meaning,
        },)*];

        impl Column {
            const ALL: &[Self] = &[$(Self::$column,)*];
        }
    };
}

columns! {
    Netns = "netns", "Netns", false, ["enetstat.netns"], "network namespace";
    Proto = "proto", "Proto", false, ["network.transport", "network.type"], "protocol, with a 6 for IPv6";
    RecvQ = "recv-q", "Recv-Q", true, ["enetstat.queue.receive"],
        "bytes received and not read; of a listener the connections waiting for accept";
    SendQ = "send-q", "Send-Q", true, ["enetstat.queue.send"], "bytes not acknowledged; of a listener the backlog limit";
    Local = "local", "Local Address", false,
        ["network.local.address", "network.local.port", "enetstat.unix.path", "enetstat.unix.path_hex"],
        "local address and port; of a unix socket its path";
    Foreign = "foreign", "Foreign Address", false, ["network.peer.address", "network.peer.port"],
        "foreign address and port";
    State = "state", "State", false, ["network.connection.state", "enetstat.raw.state", "enetstat.unix.state"], "state";
    User = "user", "User", false, ["user.id", "user.name"], "user of the socket";
    Inode = "inode", "Inode", true, ["enetstat.socket.inode"], "inode of the socket";
    Program = "program", "PID/Program name", false, ["enetstat.holders", "process.pid", "enetstat.process.comm",
        "enetstat.process.comm_hex", "enetstat.owner.unknown"], "process that holds the socket";
    Timer = "timer", "Timer", false, ["enetstat.timer.kind", "enetstat.timer.expires_ms", "enetstat.timer.retransmits",
        "enetstat.timer.probes"], "pending timer: kind, seconds left, retransmissions, probes";
    Cookie = "cookie", "Cookie", true, ["enetstat.socket.cookie"], "the kernel's socket cookie";
    Device = "dev", "Dev", true, ["enetstat.interface.index"], "index of the interface it is bound to";
    Mark = "fwmark", "Fwmark", true, ["enetstat.socket.mark"], "mark of its packets (as root)";
    Pod = "pod", "Pod", false, ["k8s.pod.uid", "k8s.pod.name", "k8s.namespace.name"], "its pod of Kubernetes";
    Container = "container", "Container", false, ["container.id", "container.name", "container.runtime.name",
        "k8s.container.name"], "its container";
    Cgroup = "cgroup", "Cgroup", false, ["enetstat.cgroup.id", "enetstat.cgroup.path", "enetstat.cgroup.path_hex"],
        "path of its control group";
    Congestion = "cong", "Cong", false, ["enetstat.tcp.congestion"], "congestion control";
    Rtt = "rtt", "RTT", true, ["enetstat.rtt_us"], "smoothed round-trip time, milliseconds";
    Rto = "rto", "RTO", true, ["enetstat.tcp.info"], "retransmission timeout, milliseconds";
    Cwnd = "cwnd", "Cwnd", true, ["enetstat.tcp.info"], "congestion window, segments";
    Mss = "mss", "MSS", true, ["enetstat.tcp.info"], "largest segment sent, bytes";
    Retrans = "retrans", "Retrans", true, ["enetstat.retransmits"], "segments sent again";
    Sent = "sent", "Sent", true, ["enetstat.bytes.sent"], "bytes the application sent";
    Received = "received", "Received", true, ["enetstat.bytes.received"], "bytes received for the application";
    Drops = "drops", "Drops", true, ["enetstat.drops"], "datagrams dropped";
}

impl Column {
    /// Its line in the table.
    pub const fn spec(self) -> &'static Spec {
        &COLUMNS[self as usize]
    }

    /// Whether it is among what sock_diag tells beside the row.
    pub fn needs_detail(self) -> bool {
        matches!(self, Self::Mark | Self::Congestion | Self::Rto | Self::Cwnd | Self::Mss)
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|column| column.spec().name.eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = COLUMNS.iter().map(|spec| spec.name).collect();
            format!("not a column; the columns are {}", names.join(", "))
        })
    }
}

/// In which order rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    pub column: Column,
    /// The largest first.
    pub down: bool,
}

impl FromStr for Sort {
    type Err = String;

    /// `COLUMN`, or `-COLUMN` for the largest first.
    fn from_str(text: &str) -> Result<Self, String> {
        let (text, down) = text.strip_prefix('-').map_or((text, false), |text| (text, true));
        Ok(Self { column: text.parse()?, down })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::field;

    #[test]
    fn columns_have_names_of_their_own_and_fields_that_are() {
        for (at, spec) in COLUMNS.iter().enumerate() {
            assert_eq!(spec.name.parse::<Column>().map(|column| column as usize), Ok(at));
            for field in spec.fields {
                assert!(field::all().any(|known| known.name == *field), "{field}");
            }
        }
        assert_eq!("-RECV-Q".parse(), Ok(Sort { column: Column::RecvQ, down: true }));
        assert!("recvq".parse::<Column>().unwrap_err().contains("netns, proto, recv-q"));
    }
}
