//! Where the running kernel's classic tracepoints keep their fields.

use crate::offsets::ABSENT;

macro_rules! layout {
    ($($field:ident = $system:literal / $event:literal . $name:literal: $size:literal;)*) => {
        /// Byte offsets in the records of classic tracepoints, from tracefs' `format` files, in the global `LAYOUT`;
        /// [`ABSENT`] where the kernel has no such field or one of another size.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct Layout { $(pub $field: u32,)* }

        impl Layout {
            /// Nothing is known: what a machine without tracefs gets.
            pub const NONE: Self = Self { $($field: ABSENT,)* };

            /// Asks `lookup(system, event, field, bytes)` for every field.
            pub fn resolve(mut lookup: impl FnMut(&str, &str, &str, u32) -> Option<u32>) -> Self {
                Self { $($field: lookup($system, $event, $name, $size).unwrap_or(ABSENT),)* }
            }
        }
    };
}

layout! {
    state_sk = "sock" / "inet_sock_set_state"."skaddr": 8;
    state_from = "sock" / "inet_sock_set_state"."oldstate": 4;
    state_to = "sock" / "inet_sock_set_state"."newstate": 4;
    state_lport = "sock" / "inet_sock_set_state"."sport": 2;
    state_rport = "sock" / "inet_sock_set_state"."dport": 2;
    state_family = "sock" / "inet_sock_set_state"."family": 2;
    state_protocol = "sock" / "inet_sock_set_state"."protocol": 2;
    state_laddr = "sock" / "inet_sock_set_state"."saddr": 4;
    state_raddr = "sock" / "inet_sock_set_state"."daddr": 4;
    state_laddr6 = "sock" / "inet_sock_set_state"."saddr_v6": 16;
    state_raddr6 = "sock" / "inet_sock_set_state"."daddr_v6": 16;
    send_sk = "sock" / "sock_send_length"."sk": 8;
    send_bytes = "sock" / "sock_send_length"."ret": 4;
    receive_sk = "sock" / "sock_recv_length"."sk": 8;
    receive_bytes = "sock" / "sock_recv_length"."ret": 4;
    receive_flags = "sock" / "sock_recv_length"."flags": 4;
    reset_sent_sk = "tcp" / "tcp_send_reset"."skaddr": 8;
    reset_sent_reason = "tcp" / "tcp_send_reset"."reason": 4;
    reset_received_sk = "tcp" / "tcp_receive_reset"."skaddr": 8;
    accept_fd = "syscalls" / "sys_exit_accept"."ret": 8;
}

const _: () = assert!(size_of::<Layout>() == 20 * 4);

// SAFETY: `Layout` is `repr(C)`, holds `u32` only, so it has no padding, and any bit pattern of it is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Layout {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_absent() {
        let layout =
            Layout::resolve(|_, event, field, _| (event == "sock_send_length" && field == "sk").then_some(8));
        assert_eq!(layout, Layout { send_sk: 8, ..Layout::NONE });
    }
}
