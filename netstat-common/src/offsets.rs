//! Where the running kernel keeps the fields that the kernel half reads.

/// Marks a field that this kernel does not have, or whose place is not known.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $field:ident = $in:literal . $path:literal;)*) => {
        /// Byte offsets from the running kernel's BTF; [`ABSENT`] where there is none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct Offsets { $($(#[$doc])* pub $field: u32,)* }

        impl Offsets {
            /// Nothing is known: what a kernel without BTF gets.
            pub const NONE: Self = Self { $($field: ABSENT,)* };

            /// Asks `lookup(structure, path)` for every field.
            pub fn resolve(mut lookup: impl FnMut(&str, &str) -> Option<u32>) -> Self {
                Self { $($field: lookup($in, $path).unwrap_or(ABSENT),)* }
            }

            /// Each offset with its own place in this structure.
            pub fn words(&self) -> impl Iterator<Item = (usize, u32)> {
                [$((core::mem::offset_of!(Self, $field), self.$field),)*].into_iter()
            }

            /// Each field's name with its offset, for reports.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, Option<u32>)> {
                [$((concat!($in, ".", $path), self.$field),)*]
                    .into_iter()
                    .map(|(name, at)| (name, (at != ABSENT).then_some(at)))
            }
        }
    };
}

offsets! {
    skc_family = "sock_common"."skc_family";
    skc_state = "sock_common"."skc_state";
    /// Local port, host order; 0 once the port was given back.
    skc_num = "sock_common"."skc_num";
    /// Foreign port, network order.
    skc_dport = "sock_common"."skc_dport";
    skc_daddr = "sock_common"."skc_daddr";
    skc_rcv_saddr = "sock_common"."skc_rcv_saddr";
    skc_v6_daddr = "sock_common"."skc_v6_daddr";
    skc_v6_rcv_saddr = "sock_common"."skc_v6_rcv_saddr";
    skc_bound_dev_if = "sock_common"."skc_bound_dev_if";
    skc_net = "sock_common"."skc_net";
    skc_cookie = "sock_common"."skc_cookie";
    skc_flags = "sock_common"."skc_flags";
    sk_protocol = "sock"."sk_protocol";
    sk_type = "sock"."sk_type";
    sk_err = "sock"."sk_err";
    sk_shutdown = "sock"."sk_shutdown";
    sk_uid = "sock"."sk_uid";
    sk_lock_owned = "sock"."sk_lock.owned";
    sk_ack_backlog = "sock"."sk_ack_backlog";
    sk_max_ack_backlog = "sock"."sk_max_ack_backlog";
    sk_drops = "sock"."sk_drops";
    sk_lingertime = "sock"."sk_lingertime";
    sk_socket = "sock"."sk_socket";
    sk_cgroup = "sock"."sk_cgrp_data.cgroup";
    /// Local port, network order; survives the giving back of the port.
    inet_sport = "inet_sock"."inet_sport";
    net_inum = "net"."ns.inum";
    cgroup_kn = "cgroup"."kn";
    kernfs_node_id = "kernfs_node"."id";
    tcp_bytes_acked = "tcp_sock"."bytes_acked";
    tcp_bytes_received = "tcp_sock"."bytes_received";
    tcp_bytes_sent = "tcp_sock"."bytes_sent";
    tcp_bytes_retrans = "tcp_sock"."bytes_retrans";
    tcp_segs_out = "tcp_sock"."segs_out";
    tcp_segs_in = "tcp_sock"."segs_in";
    tcp_total_retrans = "tcp_sock"."total_retrans";
    tcp_srtt_us = "tcp_sock"."srtt_us";
    /// The smallest of a window of minima (`struct minmax`, include/linux/win_minmax.h) is four bytes behind.
    tcp_rtt_min = "tcp_sock"."rtt_min";
    tcp_lost = "tcp_sock"."lost";
    tcp_reord_seen = "tcp_sock"."reord_seen";
    tcp_chrono_start = "tcp_sock"."chrono_start";
    tcp_chrono_stat = "tcp_sock"."chrono_stat";
    /// In the two lowest bits.
    tcp_chrono_type = "tcp_sock"."chrono_type";
    icsk_probes_out = "inet_connection_sock"."icsk_probes_out";
    icsk_user_timeout = "inet_connection_sock"."icsk_user_timeout";
    icsk_queue_len = "inet_connection_sock"."icsk_accept_queue.qlen";
    icsk_pending = "inet_connection_sock"."icsk_pending";
    /// When the window was first probed since it closed; 0 as long as it is not.
    icsk_probes_tstamp = "inet_connection_sock"."icsk_probes_tstamp";
    tcp_snd_wnd = "tcp_sock"."snd_wnd";
    tcp_write_seq = "tcp_sock"."write_seq";
    tcp_snd_una = "tcp_sock"."snd_una";
    tcp_rcv_nxt = "tcp_sock"."rcv_nxt";
    tcp_copied_seq = "tcp_sock"."copied_seq";
    /// The subflow that a socket of MPTCP began with.
    mptcp_first = "mptcp_sock"."first";
    tw_substate = "inet_timewait_sock"."tw_substate";
    tw_timer = "inet_timewait_sock"."tw_timer";
    rsk_timer = "request_sock"."rsk_timer";
    /// Moved from the one to the other with 6.19.
    icsk_retransmit_timer = "inet_connection_sock"."icsk_retransmit_timer";
    tcp_retransmit_timer = "sock"."tcp_retransmit_timer";
    timer_function = "timer_list"."function";
    /// Null when the timer is not set, or runs right now.
    timer_pprev = "timer_list"."entry.pprev";
    task_group_leader = "task_struct"."group_leader";
    task_comm = "task_struct"."comm";
    task_start_boottime = "task_struct"."start_boottime";
    task_self_exec_id = "task_struct"."self_exec_id";
    task_real_parent = "task_struct"."real_parent";
    task_tgid = "task_struct"."tgid";
    task_pid = "task_struct"."pid";
    task_files = "task_struct"."files";
    task_signal = "task_struct"."signal";
    /// Threads that have not ended.
    signal_live = "signal_struct"."live";
    task_real_cred = "task_struct"."real_cred";
    cred_uid = "cred"."uid";
    task_thread_pid = "task_struct"."thread_pid";
    pid_level = "pid"."level";
    /// A `struct upid` of 16 bytes for each PID namespace, from the initial one inwards; the number comes first in it.
    pid_numbers = "pid"."numbers";
    files_fdt = "files_struct"."fdt";
    fdtable_max_fds = "fdtable"."max_fds";
    fdtable_fd = "fdtable"."fd";
    file_inode = "file"."f_inode";
    file_private_data = "file"."private_data";
    fdtable_open_fds = "fdtable"."open_fds";
    inode_mode = "inode"."i_mode";
    inode_ino = "inode"."i_ino";
    socket_sk = "socket"."sk";
}

const _: () = assert!(size_of::<Offsets>() == 84 * 4);
