//! Attaching one program, in whatever way.

use super::object::At;
use crate::kernel::Refusal;
use aya::Ebpf;
use aya::programs::{BtfTracePoint, FEntry, FExit, KProbe, Program, RawTracePoint, TracePoint};

/// Attaches the loaded program of this name.
///
/// # Errors
/// The object has no such program, or the kernel refuses it.
pub(super) fn attach_one(ebpf: &mut Ebpf, name: &'static str, at: At) -> Result<(), Refusal> {
    let attached = match (program(ebpf, name)?, at) {
        (Program::BtfTracePoint(program), At::AlsoBtf(_)) => {
            let _ = BtfTracePoint::attach(program);
            Ok(())
        }
        (Program::BtfTracePoint(program), _) => BtfTracePoint::attach(program).map(drop),
        (Program::FEntry(program), _) => FEntry::attach(program).map(drop),
        (Program::FExit(program), _) => FExit::attach(program).map(drop),
        (Program::RawTracePoint(program), At::Raw(tracepoint)) => {
            RawTracePoint::attach(program, tracepoint).map(drop)
        }
        (Program::KProbe(program), At::Probe(function)) => KProbe::attach(program, function, 0).map(drop),
        (Program::KProbe(program), At::Also(function)) => {
            // A kernel without it needs it not.
            let _ = KProbe::attach(program, function, 0);
            Ok(())
        }
        (Program::TracePoint(program), At::Classic(system, event) | At::AlsoClassic(system, event)) => {
            TracePoint::attach(program, system, event).map(drop)
        }
        _ => return Err(Refusal::Object(format!("its program {name} is of another type"))),
    };
    attached.map_err(|error| Refusal::from_program(name, &at.to_string(), error))
}

/// A program of the object.
///
/// # Errors
/// There is none of this name.
pub(super) fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Program, Refusal> {
    ebpf.program_mut(name).ok_or_else(|| Refusal::Object(format!("it has no program {name}")))
}
