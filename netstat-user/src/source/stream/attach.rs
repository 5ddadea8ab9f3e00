//! Attaching one program, in whatever way.

use super::object::At;
use super::typed::Programs;
use crate::kernel::Refusal;
use aya::Ebpf;
use aya::programs::{KProbe, Program, RawTracePoint, TracePoint};

/// Attaches the loaded program of this name.
///
/// # Errors
/// The object has no such program, or the kernel refuses it.
pub(super) fn attach_one(programs: &mut Programs, name: &'static str, at: At) -> Result<(), Refusal> {
    let hook = at.to_string();
    match at {
        At::Btf(_) | At::Fentry(_) | At::Fexit(_) => return programs.typed.attach(name, &hook),
        At::AlsoBtf(_) => {
            let _ = programs.typed.attach(name, &hook);
            return Ok(());
        }
        _ => {}
    }
    let attached = match (program(&mut programs.ebpf, name)?, at) {
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
    attached.map_err(|error| Refusal::from_program(name, &hook, error))
}

/// A program of the object.
///
/// # Errors
/// There is none of this name.
pub(super) fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Program, Refusal> {
    ebpf.program_mut(name).ok_or_else(|| Refusal::Object(format!("it has no program {name}")))
}
