//! The eBPF object and the programs in it.

use crate::kernel::{Feature, Refusal, Tier};
use netstat_common::config::{CONFIG_PLACE, KFUNCS, OFFSETS_PLACE};
use netstat_common::{ABI, ABI_SYMBOL, Config, Offsets};
use object::{Object, ObjectSection, ObjectSymbol};
use rustc_hash::FxHashMap;

/// A type that the kernel uses where its tracepoints do not keep the processor to themselves (include/linux/tracepoint.h,
/// 7.2: `guard(srcu_fast_notrace)`).
pub const PREEMPTIBLE: &str = "class_srcu_fast_notrace_t";

/// Why the kernel sends a reset (include/net/rstreason.h, since 6.10).
pub const RESET_REASONS: &str = "sk_rst_reason";

/// Structures, functions and types of tracepoints that are looked up in the kernel's types.
pub const TYPES: [&str; 48] = [
    "sock_common",
    "sock",
    "inet_sock",
    "inet_connection_sock",
    "tcp_sock",
    "mptcp_sock",
    "inet_timewait_sock",
    "request_sock",
    "timer_list",
    "net",
    "cgroup",
    "kernfs_node",
    "task_struct",
    "signal_struct",
    "cred",
    "pid",
    "bpf_iter_task_file",
    "files_struct",
    "fdtable",
    "file",
    "inode",
    "socket",
    "tcp_sendmsg",
    "tcp_recvmsg",
    "tcp_connect",
    "inet_csk_accept",
    "security_sock_graft",
    "inet_csk_reqsk_queue_hash_add",
    "__inet_csk_reqsk_queue_drop",
    "inet_twsk_hashdance",
    "inet_twsk_hashdance_schedule",
    "__inet_twsk_schedule",
    "inet_twsk_kill",
    "btf_trace_inet_sock_set_state",
    "btf_trace_sock_send_length",
    "btf_trace_sock_recv_length",
    "btf_trace_timer_start",
    "btf_trace_timer_cancel",
    "btf_trace_timer_expire_entry",
    "btf_trace_kfree_skb",
    "btf_trace_tcp_send_reset",
    "btf_trace_tcp_receive_reset",
    RESET_REASONS,
    KFUNCS[0].0,
    KFUNCS[1].0,
    KFUNCS[2].0,
    "list_head",
    PREEMPTIBLE,
];

/// The kernel half.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netstat-ebpf"));

/// How a program is attached.
#[derive(Clone, Copy)]
pub enum At {
    Btf(&'static str),
    Raw(&'static str),
    Fentry(&'static str),
    Fexit(&'static str),
    /// Where the kernel has that tracepoint with these arguments.
    AlsoBtf(&'static str),
    /// Entry or return; the program's section says which.
    Probe(&'static str),
    /// The same program once more, where the kernel has that function.
    Also(&'static str),
    Classic(&'static str, &'static str),
    /// The same program once more.
    AlsoClassic(&'static str, &'static str),
}

/// A program of the object and its place.
pub type Hook = (&'static str, At);

/// The programs of a feature in a tier: of each group, the first that the kernel takes.
pub fn hooks(feature: Feature, tier: Tier) -> &'static [&'static [Hook]] {
    use At::*;
    match (feature, tier) {
        (Feature::States, Tier::TpBtf) => &[
            &[("state_btf", Btf("inet_sock_set_state"))],
            &[("state_btf_spare", Btf("inet_sock_set_state"))],
        ],
        (Feature::States, Tier::RawTp) => &[
            &[("state_raw", Raw("inet_sock_set_state"))],
            &[("state_raw_spare", Raw("inet_sock_set_state"))],
        ],
        (Feature::States, Tier::Tracepoint) => {
            &[&[("state_tracepoint", Classic("sock", "inet_sock_set_state"))]]
        }
        (Feature::Minis, Tier::Fentry) => &[
            &[
                ("timewait_fentry", Fentry("inet_twsk_hashdance_schedule")),
                ("timewait_fentry", Fentry("inet_twsk_hashdance")),
            ],
            &[("timewait_goes_fentry", Fentry("__inet_twsk_schedule"))],
            &[("timewait_over_fentry", Fentry("inet_twsk_kill"))],
            &[("request_fentry", Fentry("inet_csk_reqsk_queue_hash_add"))],
            &[("request_over_fentry", Fentry("__inet_csk_reqsk_queue_drop"))],
            &[("connect_fentry", Fentry("tcp_connect"))],
        ],
        (Feature::Minis, Tier::Kprobe) => &[
            &[
                ("timewait_kprobe", Probe("inet_twsk_hashdance_schedule")),
                ("timewait_kprobe", Probe("inet_twsk_hashdance")),
            ],
            &[("timewait_goes_kprobe", Probe("__inet_twsk_schedule"))],
            &[("timewait_over_kprobe", Probe("inet_twsk_kill"))],
            &[("request_kprobe", Probe("inet_csk_reqsk_queue_hash_add"))],
            &[
                ("request_over_kprobe", Probe("__inet_csk_reqsk_queue_drop")),
                ("request_unlinked_kprobe", Probe("reqsk_queue_unlink")),
            ],
            &[("connect_kprobe", Probe("tcp_connect"))],
        ],
        (Feature::Minis, Tier::TpBtf) => &[
            &[("timer_start_btf", Btf("timer_start"))],
            &[("timer_cancel_btf", Btf("timer_cancel"))],
            &[("timer_expire_btf", Btf("timer_expire_entry"))],
            &[("discarded_btf", AlsoBtf("kfree_skb"))],
            &[("discarded_btf_spare", AlsoBtf("kfree_skb"))],
        ],
        (Feature::Minis, Tier::RawTp) => &[
            &[("timer_start_raw", Raw("timer_start"))],
            &[("timer_cancel_raw", Raw("timer_cancel"))],
            &[("timer_expire_raw", Raw("timer_expire_entry"))],
        ],
        (Feature::Queues, Tier::Fentry) => {
            &[&[("send_fexit", Fexit("tcp_sendmsg"))], &[("receive_fexit", Fexit("tcp_recvmsg"))]]
        }
        (Feature::Queues, Tier::Kprobe) => &[
            &[("send_kretprobe", Probe("tcp_sendmsg"))],
            &[("send_kprobe", Probe("tcp_sendmsg"))],
            // From 6.1 on the one calls the other, and compilers put the first into its callers.
            &[("taken_kprobe", Probe("tcp_cleanup_rbuf"))],
            &[("taken_kprobe", Also("__tcp_cleanup_rbuf"))],
            &[("receive_kprobe", Probe("tcp_recvmsg"))],
        ],
        (Feature::Queues, Tier::TpBtf) => {
            &[&[("send_btf", Btf("sock_send_length"))], &[("receive_btf", Btf("sock_recv_length"))]]
        }
        (Feature::Queues, Tier::Tracepoint) => &[
            &[("send_tracepoint", Classic("sock", "sock_send_length"))],
            &[("receive_tracepoint", Classic("sock", "sock_recv_length"))],
        ],
        (Feature::Resets, Tier::TpBtf) => &[
            &[("reset_sent_btf", Btf("tcp_send_reset"))],
            &[("reset_received_btf", Btf("tcp_receive_reset"))],
        ],
        (Feature::Resets, Tier::RawTp) => &[
            &[("reset_sent_raw", Raw("tcp_send_reset"))],
            &[("reset_received_raw", Raw("tcp_receive_reset"))],
        ],
        (Feature::Resets, Tier::Tracepoint) => &[
            &[("reset_sent_tracepoint", Classic("tcp", "tcp_send_reset"))],
            &[("reset_received_tracepoint", Classic("tcp", "tcp_receive_reset"))],
        ],
        (Feature::Windows, Tier::Kprobe) => &[&[("window_kprobe", Probe("tcp_write_timer"))]],
        (Feature::Windows, Tier::TpBtf) => &[&[("window_btf", Btf("timer_expire_entry"))]],
        (Feature::Windows, Tier::RawTp) => &[&[("window_raw", Raw("timer_expire_entry"))]],
        (Feature::Accept, Tier::Fentry) => {
            &[&[("accept_fentry", Fentry("security_sock_graft")), ("accept_fexit", Fexit("inet_csk_accept"))]]
        }
        (Feature::Accept, Tier::Kprobe) => &[&[
            ("accept_kprobe", Probe("security_sock_graft")),
            ("accept_kretprobe", Probe("inet_csk_accept")),
        ]],
        (Feature::Accept, Tier::Tracepoint) => &[
            &[("accept_tracepoint", Classic("syscalls", "sys_exit_accept"))],
            &[("accept_tracepoint", AlsoClassic("syscalls", "sys_exit_accept4"))],
        ],
        (Feature::Lives, Tier::RawTp) => &[
            &[("life_fork", Raw("sched_process_fork"))],
            &[("life_exec", Raw("sched_process_exec"))],
            &[("life_exit", Raw("sched_process_exit"))],
        ],
        _ => &[],
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            At::Btf(tracepoint) | At::AlsoBtf(tracepoint) | At::Raw(tracepoint) => {
                write!(f, "tracepoint {tracepoint}")
            }
            At::Fentry(function) | At::Fexit(function) | At::Probe(function) | At::Also(function) => {
                write!(f, "function {function}")
            }
            At::Classic(system, event) | At::AlsoClassic(system, event) => {
                write!(f, "tracepoint {system}:{event}")
            }
        }
    }
}

/// The object with its calls of [`KFUNCS`] completed: the number that holds the place of each becomes the kernel's. Those
/// without a number are left as they are, and no program comes to the calls.
pub fn with_kfuncs(object: &[u8], numbers: [Option<u32>; KFUNCS.len()]) -> Vec<u8> {
    // `call NUMBER`, of a helper and of a kernel function (`BPF_PSEUDO_KFUNC_CALL`, include/uapi/linux/bpf.h, 6.12).
    const HELPER: [u8; 4] = [0x85, 0, 0, 0];
    const KFUNC: [u8; 4] = [0x85, 0x20, 0, 0];
    let mut object = object.to_vec();
    for ((_, place), number) in KFUNCS.into_iter().zip(numbers) {
        let Some(number) = number else { continue };
        let mut held = [0; 8];
        held[..4].copy_from_slice(&HELPER);
        held[4..].copy_from_slice(&place.to_le_bytes());
        let calls: Vec<usize> = memchr::memmem::find_iter(&object, &held).collect();
        for at in calls {
            if let Some(call) = object.get_mut(at..at + held.len()) {
                call[..4].copy_from_slice(&KFUNC);
                call[4..].copy_from_slice(&number.to_le_bytes());
            }
        }
    }
    object
}

/// The object with `settings` in the instructions where their places are held: each is the number that stands there, and
/// what is to stand there.
fn with_settings(
    object: &mut [u8],
    settings: impl IntoIterator<Item = (u32, u32)>,
) -> Result<(), object::Error> {
    /// `rN = NUMBER` (`BPF_ALU64 | BPF_MOV | BPF_K`).
    const MOVE: u8 = 0xb7;
    let settings: FxHashMap<u32, u32> = settings.into_iter().collect();
    for (start, len) in code(object)? {
        let Some(code) = object.get_mut(start..start + len) else { continue };
        for instruction in code.as_chunks_mut::<8>().0 {
            let [MOVE, 0..=9, 0, 0, number @ ..] = instruction else { continue };
            if let Some(setting) = settings.get(&u32::from_le_bytes(*number)) {
                *number = setting.to_le_bytes();
            }
        }
    }
    Ok(())
}

/// The object as it is loaded: completed, with its settings.
pub fn settled(
    numbers: [Option<u32>; KFUNCS.len()],
    config: &Config,
    offsets: &Offsets,
) -> Result<Vec<u8>, Refusal> {
    let mut object = with_kfuncs(OBJECT, numbers);
    let done = with_settings(&mut object, settings(config, offsets));
    done.map_err(|cause| Refusal::Object(cause.to_string()))?;
    Ok(object)
}

/// What [`with_settings`] is to put in.
fn settings(config: &Config, offsets: &Offsets) -> impl Iterator<Item = (u32, u32)> {
    let of_config = config.words().into_iter().map(|(at, word)| (CONFIG_PLACE + at as u32, word));
    of_config.chain(offsets.words().map(|(at, word)| (OFFSETS_PLACE + at as u32, word)))
}

/// Where the instructions of an object are.
fn code(object: &[u8]) -> Result<Vec<(usize, usize)>, object::Error> {
    let file = object::File::parse(object)?;
    let code = file.sections().filter(|section| section.kind() == object::SectionKind::Text);
    let ranges = code.filter_map(|section| section.file_range());
    Ok(ranges.filter_map(|(start, len)| Some((start.try_into().ok()?, len.try_into().ok()?))).collect())
}

/// The transition hook of kernels that let another process run in the middle of a tracepoint (7.x): first a program that
/// is never preempted, then spares. With each of them there must be one more process that was stopped inside our programs
/// on the same processor, before an event is left out. Empty: the tier has no typed or raw programs.
pub fn unpreempted(tier: Tier) -> &'static [&'static [Hook]] {
    use At::*;
    match tier {
        Tier::TpBtf => &[
            &[("naming_btf", Btf("inet_sock_set_state"))],
            &[("state_unpreempted", Classic("sock", "inet_sock_set_state"))],
            &[("state_btf_spare", Btf("inet_sock_set_state"))],
            &[("state_btf_spare_2", Btf("inet_sock_set_state"))],
            &[("state_btf_spare_3", Btf("inet_sock_set_state"))],
        ],
        Tier::RawTp => &[
            &[("state_unpreempted", Classic("sock", "inet_sock_set_state"))],
            &[("state_raw_spare", Raw("inet_sock_set_state"))],
            &[("state_raw_spare_2", Raw("inet_sock_set_state"))],
            &[("state_raw_spare_3", Raw("inet_sock_set_state"))],
        ],
        _ => &[],
    }
}

/// Further spares for such kernels where [`unpreempted`] cannot be had.
pub fn more_spares(tier: Tier) -> &'static [&'static [Hook]] {
    use At::*;
    match tier {
        Tier::TpBtf => &[
            &[("state_btf_spare_2", Btf("inet_sock_set_state"))],
            &[("state_btf_spare_3", Btf("inet_sock_set_state"))],
        ],
        Tier::RawTp => &[
            &[("state_raw_spare_2", Raw("inet_sock_set_state"))],
            &[("state_raw_spare_3", Raw("inet_sock_set_state"))],
        ],
        _ => &[],
    }
}

/// The last of all, where only the first may not be of this kind: it comes to its turn after them.
pub fn last_spare(tier: Tier) -> &'static [&'static [Hook]] {
    match tier {
        Tier::TpBtf | Tier::RawTp => {
            &[&[("state_unpreempted_spare", At::Classic("sock", "inet_sock_set_state"))]]
        }
        _ => &[],
    }
}

/// Refuses an object whose boundary is another one: its records would be misread.
pub fn check_abi(object: &[u8]) -> Result<(), Refusal> {
    let bad = |cause: object::Error| Refusal::Object(cause.to_string());
    let file = object::File::parse(object).map_err(bad)?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(ABI_SYMBOL));
    let found = symbol.and_then(|symbol| {
        let section = file.section_by_index(symbol.section_index()?).ok()?;
        let start = usize::try_from(symbol.address().checked_sub(section.address())?).ok()?;
        let bytes = section.data().ok()?.get(start..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    });
    match found {
        Some(ABI) => Ok(()),
        Some(found) => Err(Refusal::Abi { found, expected: ABI }),
        None => Err(Refusal::Object(format!("it has no symbol {ABI_SYMBOL}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_belongs_to_this_program() {
        check_abi(OBJECT).unwrap();
    }

    #[test]
    fn every_call_of_a_kernel_function_is_completed() {
        let count = |object: &[u8], what: [u8; 8]| memchr::memmem::find_iter(object, &what).count();
        let held = |place: u32| [[0x85, 0, 0, 0], place.to_le_bytes()].concat().try_into().unwrap();
        let done = with_kfuncs(OBJECT, [Some(77), Some(78), Some(79)]);
        let mut calls = Vec::new();
        for ((_, place), number) in KFUNCS.into_iter().zip([77u32, 78, 79]) {
            let completed = [[0x85, 0x20, 0, 0], number.to_le_bytes()].concat().try_into().unwrap();
            assert_eq!(count(&done, held(place)), 0);
            assert_eq!(count(OBJECT, held(place)), count(&done, completed));
            calls.push(count(OBJECT, held(place)));
        }
        assert!(calls[0] > 0 && calls[0] <= calls[1], "{calls:?}");
        assert!(calls[2] > 0);
        assert_eq!(with_kfuncs(OBJECT, [None; 3]), OBJECT);
    }

    #[test]
    fn every_setting_is_put_in() {
        let held = |object: &[u8]| -> Vec<u32> {
            let pieces = code(object).unwrap().into_iter().map(|(start, len)| &object[start..start + len]);
            let instructions = pieces.flat_map(|piece| piece.as_chunks::<8>().0.iter());
            let moves = instructions.filter(|one| one[0] == 0xb7);
            moves.map(|one| u32::from_le_bytes([one[4], one[5], one[6], one[7]])).collect()
        };
        let is_place = |number: &u32| matches!(number >> 16, 0x0bae | 0x0baf);
        assert!(held(OBJECT).iter().filter(|number| is_place(number)).count() > 1000);
        let mut object = OBJECT.to_vec();
        with_settings(&mut object, settings(&Config::INITIAL, &Offsets::NONE)).unwrap();
        assert_eq!(held(&object).iter().filter(|number| is_place(number)).count(), 0);
        assert_eq!(object.len(), OBJECT.len());
        // Other numbers are left alone.
        let changed = held(OBJECT)
            .iter()
            .zip(held(&object))
            .filter(|&(&one, other)| one != other && !is_place(&one))
            .count();
        assert_eq!(changed, 0);
    }

    #[test]
    fn what_is_no_object_or_another_one_is_refused() {
        assert!(matches!(check_abi(b"\x7fELF"), Err(Refusal::Object(_))));
        let number = ABI.to_le_bytes();
        let symbol = object::File::parse(OBJECT).unwrap();
        let symbol = symbol.symbols().find(|symbol| symbol.name() == Ok(ABI_SYMBOL)).unwrap();
        let file = object::File::parse(OBJECT).unwrap();
        let (start, _) =
            file.section_by_index(symbol.section_index().unwrap()).unwrap().file_range().unwrap();
        let at = (start + symbol.address()) as usize;
        let mut other = OBJECT.to_vec();
        assert_eq!(other[at..at + 4], number);
        other[at] ^= 0x40;
        assert!(matches!(check_abi(&other), Err(Refusal::Abi { found, expected: ABI }) if found != ABI));
    }

    #[test]
    fn every_rung_has_programs_of_the_object() {
        let object = aya_symbols();
        for feature in Feature::EVENTS {
            for &tier in feature.ladder(None) {
                assert!(!hooks(feature, tier).is_empty(), "{feature} {tier}");
                for (name, _) in hooks(feature, tier).iter().copied().flatten() {
                    assert!(object.iter().any(|symbol| symbol == name), "{name}");
                }
            }
        }
    }

    fn aya_symbols() -> Vec<String> {
        let file = object::File::parse(OBJECT).unwrap();
        file.symbols().filter_map(|symbol| symbol.name().ok().map(str::to_owned)).collect()
    }
}
