//! Loading and attaching: the best hook of each feature that the kernel takes.
//!
//! A hook is judged by trying it. Some settings of the kernel half depend on which hooks are taken (whether sockets have
//! cookies, where queue changes are kept), so the object may be loaded anew with other settings.

use super::around::{
    has_socket_storage, keep_pieces_apart, loader, memlock, own_number, private_tracefs, queue_ticks,
    raise_memlock, tick,
};
use super::attach::{attach_one, program};
use super::files;
use super::object::{
    At, Hook, OBJECT, PREEMPTIBLE, RESET_REASONS, TYPES, check_abi, hooks, last_spare, more_spares, settled,
    unpreempted,
};
use super::typed::{Programs, Typed};
use super::unseen::Unseen;
use super::{Options, Queues, SPARE, StreamError};
use crate::kernel::bpf::Attach;
use crate::kernel::btf::{Btf, BtfError};
use crate::kernel::{Choice, Feature, Refusal, Refused, Tier, format, kallsyms};
use crate::model::ResetNames;
use aya::Ebpf;
use aya::maps::Array;
use aya::programs::Program;
use netstat_common::config::{CastTypes, HANDLERS, HANDLERS_MAP, KFUNCS, MAX_PORTS, QueueStore};
use netstat_common::offsets::ABSENT;
use netstat_common::{Config, Layout, Offsets};
use std::path::Path;

/// Where a kernel that has breakpoints at functions says how to ask for one.
const PROBES: &str = "/sys/bus/event_source/devices/kprobe";

/// The loaded object with its hooks attached.
pub struct Assembled {
    pub programs: Programs,
    pub choices: Vec<Choice>,
    /// Sockets are named by their cookies; else by their addresses.
    pub cookies: bool,
    /// The kernel's names of why it sends a reset.
    pub resets: ResetNames,
    pub unseen: Option<Unseen>,
}

/// Attaches what `options` ask for.
pub fn assemble(options: &Options) -> Result<Assembled, StreamError> {
    if let Some(tier @ (Tier::Netlink | Tier::Procfs)) = options.tier {
        return Err(StreamError::NoEvents(tier));
    }
    if options.ports.len() > MAX_PORTS {
        return Err(StreamError::TooManyPorts(options.ports.len()));
    }
    check_abi(OBJECT)?;
    raise_memlock();
    keep_pieces_apart();
    // A thread of its own: where tracefs is not mounted it mounts one that nobody else sees (see `private_tracefs`).
    std::thread::scope(|scope| {
        let loading = std::thread::Builder::new().name("enetstat-load".to_owned());
        let loading = loading.spawn_scoped(scope, || Assembly::new(options).climb());
        match loading.map(|thread| thread.join()) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(cause) => Err(failed("starting a thread", cause).into()),
        }
    })
}

/// Whether a program acts only where those before it are left out.
fn is_spare(group: &&'static &'static [Hook]) -> bool {
    group.iter().any(|(name, _)| name.contains(SPARE))
}

fn failed(operation: &'static str, cause: impl std::fmt::Display) -> Refusal {
    Refusal::Failed { operation, cause: cause.to_string() }
}

/// Where among programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    Last,
    Nowhere,
}

/// What is known about the kernel while the hooks are tried.
struct Assembly<'a> {
    options: &'a Options,
    /// The kernel's types, or why there are none.
    types: Result<Btf, BtfError>,
    offsets: Offsets,
    /// Why there are no layouts, if so.
    tracefs: Option<Option<std::io::Error>>,
    layout: Layout,
    /// Which of the programs at the transition hook is never preempted.
    unpreempted: Place,
}

impl<'a> Assembly<'a> {
    fn new(options: &'a Options) -> Self {
        let root = Path::new("/");
        let mut offsets = Offsets::NONE;
        let types = Btf::read(root, &TYPES);
        if let Ok(types) = &types {
            offsets = Offsets::resolve(|structure, path| types.offset(structure, path));
        }
        let mut tracefs = None;
        let layout = match format::tracefs(root).map(Ok).unwrap_or_else(private_tracefs) {
            Ok(path) => format::layout(&path),
            Err(cause) => {
                tracefs = Some(Some(cause));
                Layout::NONE
            }
        };
        let mut all = Self { options, types, offsets, tracefs, layout, unpreempted: Place::Nowhere };
        if all.tracefs.is_none()
            && all.is_preemptible()
            && all.cast_types().is_some()
            && all.kfuncs()[2].is_some()
        {
            all.unpreempted = Place::First;
        }
        all
    }

    /// Takes the best way to see transitions, with the best ways to the rest that go with it.
    fn climb(&mut self) -> Result<Assembled, StreamError> {
        let mut refused = Vec::new();
        for &tier in Feature::States.ladder(self.options.tier) {
            // The cookie helper came to tracing with 5.12.
            let attempts: &[bool] = if tier == Tier::TpBtf { &[true, false] } else { &[false] };
            let mut why = None;
            for &cookies in attempts {
                let mut tried = self.with_states(tier, cookies);
                if tried.is_err() && self.unpreempted != Place::Nowhere {
                    // Perhaps only the classic program was refused: it is attached in another way.
                    self.unpreempted = Place::Nowhere;
                    tried = self.with_states(tier, cookies);
                }
                match tried {
                    Ok(mut assembled) => {
                        let states = Choice { feature: Feature::States, tier: Some(tier), refused };
                        assembled.choices.insert(0, states);
                        return self.complete(assembled);
                    }
                    // Only a verifier that does not know the helper makes another attempt worthwhile.
                    Err(refusal @ Refusal::Verifier { .. }) => why = why.or(Some(refusal)),
                    Err(refusal) => {
                        why = Some(refusal);
                        break;
                    }
                }
            }
            refused.extend(why.map(|why| Refused { tier, why }));
        }
        match (self.options.tier, refused.pop()) {
            (Some(tier), Some(Refused { why, .. })) => {
                Err(StreamError::Forced { tier, feature: Feature::States, why })
            }
            (_, last) => {
                refused.extend(last);
                let states = Choice { feature: Feature::States, tier: None, refused };
                Err(StreamError::NoTier { choices: vec![states] })
            }
        }
    }

    /// Under a forced tier what was asked for must be had. Which process accepted is a bonus where the tier has no call
    /// to hook but only the ends of system calls; what is no full socket can be asked about.
    fn complete(&self, mut assembled: Assembled) -> Result<Assembled, StreamError> {
        let Some(tier) = self.options.tier else { return Ok(assembled) };
        for choice in &mut assembled.choices {
            let bonus = matches!(
                choice.feature,
                Feature::Minis | Feature::Resets | Feature::Windows | Feature::Lives | Feature::Holders
            ) || choice.feature == Feature::Accept
                && matches!(tier, Tier::TpBtf | Tier::RawTp | Tier::Tracepoint);
            if choice.tier.is_none()
                && !bonus
                && let Some(Refused { why, .. }) = choice.refused.pop()
            {
                return Err(StreamError::Forced { tier, feature: choice.feature, why });
            }
        }
        Ok(assembled)
    }

    /// Everything, with transitions by `tier`. The transitions are attached last: what they report has its owner's and
    /// queue's hooks in place.
    fn with_states(&mut self, tier: Tier, cookies: bool) -> Result<Assembled, Refusal> {
        let place = |queues: Tier| match queues {
            Tier::Fentry | Tier::TpBtf if cookies && has_socket_storage() => QueueStore::Socket,
            _ => QueueStore::Hash,
        };
        let queues_wanted = self.options.queues != Queues::Off;
        let mut queue_ladder = if queues_wanted { Feature::Queues.ladder(self.options.tier) } else { &[] };
        let mut queues_refused = Vec::new();
        let mut store = queue_ladder.first().map_or(QueueStore::None, |&first| place(first));
        loop {
            let mut programs = self.object(tier, cookies, store)?;
            self.load(&mut programs, Feature::States, tier)?;
            let minis = self.choose(&mut programs, Feature::Minis, Feature::Minis.ladder(self.options.tier));
            if minis.tier == Some(Tier::Kprobe) && self.unpreempted == Place::First {
                // They are left out on top of a classic tracepoint's program, as that would be on top of them.
                self.unpreempted = Place::Last;
                continue;
            }
            let ladder = |feature: Feature| {
                if self.options.owners { feature.ladder(self.options.tier) } else { &[] }
            };
            let accept = self.choose(&mut programs, Feature::Accept, ladder(Feature::Accept));
            let lives = self.choose(&mut programs, Feature::Lives, ladder(Feature::Lives));
            let holders = files::choose(&mut programs.typed, &self.types, ladder(Feature::Holders));
            let mut queues = self.choose(&mut programs, Feature::Queues, queue_ladder);
            queues_refused.append(&mut queues.refused);
            let needed = queues.tier.map_or(QueueStore::None, place);
            if needed != store {
                // Once more, with the settings that the hook which was taken needs.
                store = needed;
                let taken = queue_ladder.iter().position(|&rung| Some(rung) == queues.tier);
                queue_ladder = taken.map_or(&[], |at| &queue_ladder[at..=at]);
                continue;
            }
            queues.refused = queues_refused;
            let resets =
                self.choose(&mut programs, Feature::Resets, Feature::Resets.ladder(self.options.tier));
            let windows =
                self.choose(&mut programs, Feature::Windows, Feature::Windows.ladder(self.options.tier));
            self.attach(&mut programs, Feature::States, tier)?;
            let unseen = self.unseen(minis.tier);
            let choices = vec![minis, queues, accept, resets, windows, lives, holders];
            return Ok(Assembled { programs, choices, cookies, resets: self.reset_names(), unseen });
        }
    }

    /// Counts what no program is run for; `minis` is how timers are seen.
    fn unseen(&self, minis: Option<Tier>) -> Option<Unseen> {
        let function = self.types.as_ref().ok().and_then(|types| types.number("tcp_connect"));
        let timers = matches!(minis, Some(Tier::TpBtf | Tier::RawTp));
        let handlers = || kallsyms::addresses(Path::new("/"), [HANDLERS[0], HANDLERS[1]]).ok();
        Unseen::watch(function, self.options.netns, || timers.then(handlers).flatten())
    }

    /// The first tier of the ladder that loads and attaches.
    fn choose(&self, programs: &mut Programs, feature: Feature, ladder: &[Tier]) -> Choice {
        let mut refused = Vec::new();
        for &tier in ladder {
            let tried =
                self.load(programs, feature, tier).and_then(|()| self.attach(programs, feature, tier));
            match tried {
                Ok(()) => return Choice { feature, tier: Some(tier), refused },
                Err(why) => {
                    for (program, _) in hooks(feature, tier).iter().copied().flatten() {
                        // What was attached before the refusal must not stay; what was not cannot be unloaded.
                        programs.typed.unload(program);
                        if let Some(program) = programs.ebpf.program_mut(program) {
                            let _ = match program {
                                Program::RawTracePoint(program) => program.unload(),
                                Program::KProbe(program) => program.unload(),
                                Program::TracePoint(program) => program.unload(),
                                _ => Ok(()),
                            };
                        }
                    }
                    refused.push(Refused { tier, why });
                }
            }
        }
        Choice { feature, tier: None, refused }
    }

    /// The object with its maps made and its settings written.
    fn object(&self, tier: Tier, cookies: bool, store: QueueStore) -> Result<Programs, Refusal> {
        let options = self.options;
        let numbers = self.kfuncs();
        let mut config = Config {
            queue_ticks: queue_ticks(options.queue_interval, tick()),
            wake_interval: super::WAKE_INTERVAL.as_nanos() as u64,
            queues: options.queues as u32,
            netns: options.netns.unwrap_or(0),
            port_count: options.ports.len() as u32,
            has_cookie: u32::from(cookies),
            recvmsg_args: self.arguments("tcp_recvmsg"),
            accept_args: self.arguments("inet_csk_accept"),
            queue_store: store as u32,
            kfuncs: u32::from(matches!(numbers, [Some(_), Some(_), _])),
            types: numbers[2].and_then(|_| self.cast_types()).unwrap_or_default(),
            spares: self.hooks(Feature::States, tier).filter(is_spare).count().max(1) as u32,
            reader: own_number(),
            tick: tick(),
            reset_args: self
                .types
                .as_ref()
                .ok()
                .and_then(|types| types.tracepoint_arguments("tcp_send_reset"))
                .unwrap_or(0),
            ..Config::INITIAL
        };
        for (slot, &port) in config.ports.iter_mut().zip(&options.ports) {
            *slot = port;
        }
        let mut loader = loader();
        loader
            .override_global("CONFIG", &config, true)
            .override_global("LAYOUT", &self.layout, true)
            .map_max_entries("EVENTS", options.ring_bytes)
            // No field of the kernel is left to be found in the object: the settings have them.
            .btf(None);
        if store != QueueStore::Hash {
            loader.map_max_entries("HASH_QUEUES", 1).map_max_entries("CALLS", 1);
        }
        let object = settled(numbers, &config, &self.offsets)?;
        let ebpf = loader.load(&object).map_err(|error| Refusal::from_object(error, memlock()))?;
        Ok(Programs { typed: Typed::of(&object, &ebpf)?, ebpf })
    }

    /// The programs of a feature in a tier on this kernel.
    fn hooks(&self, feature: Feature, tier: Tier) -> impl Iterator<Item = &'static &'static [Hook]> {
        let changes = feature == Feature::States && self.is_preemptible();
        let (first, more, last): (_, &[_], &[_]) = match self.unpreempted {
            _ if !changes => (hooks(feature, tier), &[], &[]),
            Place::First if !unpreempted(tier).is_empty() => (unpreempted(tier), &[], &[]),
            Place::Last => (hooks(feature, tier), more_spares(tier), last_spare(tier)),
            _ => (hooks(feature, tier), more_spares(tier), &[]),
        };
        first.iter().chain(more).chain(last)
    }

    /// Whether another process may run in the middle of a tracepoint.
    fn is_preemptible(&self) -> bool {
        self.types.as_ref().is_ok_and(|types| types.number(PREEMPTIBLE).is_some())
    }

    /// The kernel's numbers of [`KFUNCS`].
    fn kfuncs(&self) -> [Option<u32>; KFUNCS.len()] {
        KFUNCS.map(|(name, _)| self.types.as_ref().ok()?.number(name))
    }

    fn cast_types(&self) -> Option<CastTypes> {
        let number = |structure| self.types.as_ref().ok()?.structure(structure);
        Some(CastTypes {
            tcp_sock: number("tcp_sock")?,
            inet_timewait_sock: number("inet_timewait_sock")?,
            request_sock: number("request_sock")?,
            file: number("file")?,
            socket: number("socket")?,
            list_head: number("list_head")?,
        })
    }

    fn reset_names(&self) -> ResetNames {
        let all = self.types.as_ref().map(|types| types.enumeration(RESET_REASONS)).unwrap_or_default();
        ResetNames::new(all)
    }

    /// 0: no such function.
    fn arguments(&self, function: &str) -> u32 {
        self.types.as_ref().ok().and_then(|types| types.arguments(function)).unwrap_or(0)
    }

    /// The number of a hook's function or type name.
    fn number(&self, hook: At, name: &str) -> Result<u32, Refusal> {
        let types = self.types.as_ref().map_err(no_types)?;
        types.number(name).ok_or_else(|| Refusal::NoHook(hook.to_string()))
    }

    /// What a tier needs to know beforehand.
    fn admits(&self, feature: Feature, tier: Tier) -> Result<(), Refusal> {
        if let Err(cause) = &self.types
            && (tier != Tier::Tracepoint || feature != Feature::States)
        {
            return Err(no_types(cause));
        }
        if tier == Tier::Tracepoint
            && let Some(cause) = &self.tracefs
        {
            return Err(Refusal::NoTracefs { cause: cause.as_ref().map(copy) });
        }
        if tier == Tier::Kprobe && !Path::new(PROBES).exists() {
            return Err(Refusal::NoHook("breakpoints at functions (CONFIG_KPROBE_EVENTS)".to_owned()));
        }
        let Offsets { icsk_pending, icsk_probes_tstamp, tcp_snd_wnd, .. } = self.offsets;
        if feature == Feature::Windows && [icsk_pending, icsk_probes_tstamp, tcp_snd_wnd].contains(&ABSENT) {
            return Err(Refusal::NoHook("field that tells when a closed window was probed".to_owned()));
        }
        let (function, found, known): (_, _, &[u32]) = match (feature, tier) {
            (Feature::Queues, Tier::Fentry) => ("tcp_recvmsg", self.arguments("tcp_recvmsg"), &[4, 5, 6]),
            (Feature::Accept, Tier::Fentry) if self.arguments("security_sock_graft") == 0 => {
                ("inet_csk_accept", self.arguments("inet_csk_accept"), &[2, 4])
            }
            _ => return Ok(()),
        };
        match found {
            0 => Err(Refusal::NoHook(format!("function {function}"))),
            found if known.contains(&found) => Ok(()),
            found => Err(Refusal::Arguments { function, found }),
        }
    }

    /// Puts the programs of a tier into the kernel.
    fn load(&self, programs: &mut Programs, feature: Feature, tier: Tier) -> Result<(), Refusal> {
        self.admits(feature, tier)?;
        if matches!(feature, Feature::Minis | Feature::Windows) && matches!(tier, Tier::TpBtf | Tier::RawTp) {
            write_handlers(&mut programs.ebpf)?;
        }
        self.hooks(feature, tier).try_for_each(|group| {
            // All that can be: which of them attaches is seen later.
            let tried: Vec<_> = group.iter().map(|&(name, at)| self.load_one(programs, name, at)).collect();
            any(tried)
        })
    }

    fn load_one(&self, programs: &mut Programs, name: &'static str, at: At) -> Result<(), Refusal> {
        let hook = at.to_string();
        let mut typed =
            |attach, target: &str| programs.typed.load(name, &hook, attach, self.number(at, target)?);
        match at {
            At::Btf(tracepoint) => return typed(Attach::RawTp, &format!("btf_trace_{tracepoint}")),
            At::AlsoBtf(tracepoint) => {
                // A kernel that refuses it has other arguments there, or no such tracepoint.
                let _ = typed(Attach::RawTp, &format!("btf_trace_{tracepoint}"));
                return Ok(());
            }
            At::Fentry(function) => return typed(Attach::Fentry, function),
            At::Fexit(function) => return typed(Attach::Fexit, function),
            _ => {}
        }
        let program = program(&mut programs.ebpf, name)?;
        let is_loaded = program.fd().is_ok();
        let loaded = match (program, at) {
            (Program::KProbe(_), At::Also(_)) | (Program::TracePoint(_), At::AlsoClassic(..)) => Ok(()),
            (Program::KProbe(_), At::Probe(_)) if is_loaded => Ok(()),
            (Program::RawTracePoint(program), At::Raw(_)) => program.load(),
            (Program::KProbe(program), At::Probe(_)) => program.load(),
            (Program::TracePoint(program), At::Classic(..)) => program.load(),
            _ => return Err(Refusal::Object(format!("its program {name} is of another type"))),
        };
        loaded.map_err(|error| Refusal::from_program(name, &hook, error))
    }

    /// Attaches the loaded programs of a tier.
    fn attach(&self, programs: &mut Programs, feature: Feature, tier: Tier) -> Result<(), Refusal> {
        self.hooks(feature, tier).try_for_each(|group| {
            let mut tried = Vec::new();
            for &(name, at) in *group {
                let attached = attach_one(programs, name, at);
                let done = attached.is_ok();
                tried.push(attached);
                if done {
                    break;
                }
            }
            any(tried)
        })
    }
}

/// The first success, or else the first refusal.
fn any(tried: Vec<Result<(), Refusal>>) -> Result<(), Refusal> {
    let mut first = Ok(());
    for result in tried {
        if result.is_ok() {
            return result;
        }
        first = first.and(result);
    }
    first
}

/// Tells the hooks that see timers which ones matter.
fn write_handlers(ebpf: &mut Ebpf) -> Result<(), Refusal> {
    let addresses = kallsyms::addresses(Path::new("/"), HANDLERS)?;
    let map = ebpf.map_mut(HANDLERS_MAP);
    let map = map.ok_or_else(|| Refusal::Object(format!("it has no map {HANDLERS_MAP}")))?;
    let written =
        Array::<_, [u64; HANDLERS.len()]>::try_from(map).and_then(|mut map| map.set(0, addresses, 0));
    written.map_err(|cause| failed("writing the handlers' addresses", cause))
}

/// The refusal for a kernel without types, anew for each tier that needs them.
fn no_types(cause: &BtfError) -> Refusal {
    match cause {
        BtfError::Read { path, cause } => {
            Refusal::NoBtf(BtfError::Read { path: path.clone(), cause: copy(cause) })
        }
        other => failed("reading the kernel's types", other),
    }
}

fn copy(error: &std::io::Error) -> std::io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error)
}
