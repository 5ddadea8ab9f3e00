//! The programs of a trace: those that know the kernel's types, beside those that the library loads.

use super::linked::Linked;
use crate::kernel::Refusal;
use crate::kernel::bpf::{self, Attach, Kind};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::{Object, ProgramSection};
use rustc_hash::FxHashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// All programs of an object.
pub struct Programs {
    /// Has the maps, and loads the programs that do not know the kernel's types.
    pub ebpf: Ebpf,
    pub typed: Typed,
}

/// Those that know the kernel's types.
pub struct Typed {
    linked: Linked,
    loaded: FxHashMap<&'static str, Loaded>,
}

struct Loaded {
    program: OwnedFd,
    /// Attached until it is dropped.
    link: Option<OwnedFd>,
}

impl Programs {
    /// The loaded programs, with their names.
    pub fn loaded(&self) -> Vec<(&str, BorrowedFd<'_>)> {
        let others = self.ebpf.programs();
        let others = others.filter_map(|(name, program)| Some((name, program.fd().ok()?.as_fd())));
        let typed = self.typed.loaded.iter().map(|(name, loaded)| (*name, loaded.program.as_fd()));
        others.chain(typed).collect()
    }
}

impl Typed {
    /// Of the object that `ebpf` was made of, whose maps are all still there.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn of(elf: &[u8], ebpf: &Ebpf) -> Result<Self, Refusal> {
        let mut object = Object::parse(elf).map_err(|cause| Refusal::Object(cause.to_string()))?;
        object.programs.retain(|_, program| {
            matches!(
                program.section,
                ProgramSection::BtfTracePoint
                    | ProgramSection::FEntry { .. }
                    | ProgramSection::FExit { .. }
                    | ProgramSection::Iter { .. }
            )
        });
        let maps: Vec<_> = object.maps.drain().collect();
        let numbers = maps.iter().filter_map(|(name, map)| {
            let made = data(ebpf.map(name)?)?;
            Some((name.as_str(), made.fd().as_fd().as_raw_fd(), map))
        });
        Ok(Self { linked: Linked::new(object, numbers)?, loaded: FxHashMap::default() })
    }

    /// Loads a program, unless it is loaded; `hook` names what it is for, `target` is the number of that in the kernel's types.
    ///
    /// # Errors
    /// See [`Linked::load`].
    pub fn load(
        &mut self,
        name: &'static str,
        hook: &str,
        attach: Attach,
        target: u32,
    ) -> Result<(), Refusal> {
        if !self.loaded.contains_key(name) {
            let program = self.linked.load(name, Kind::Tracing, hook, Some((attach, target)))?;
            self.loaded.insert(name, Loaded { program, link: None });
        }
        Ok(())
    }

    /// Attaches a loaded program.
    ///
    /// # Errors
    /// It is not loaded, or the kernel refuses.
    pub fn attach(&mut self, name: &str, hook: &str) -> Result<(), Refusal> {
        let loaded = self.loaded.get_mut(name).ok_or_else(|| Refusal::NoHook(hook.to_owned()))?;
        let link = bpf::attach(loaded.program.as_fd());
        loaded.link = Some(link.map_err(|cause| Refusal::from_attaching(hook, cause))?);
        Ok(())
    }

    /// Detaches a program and takes it out of the kernel, if it is there.
    pub fn unload(&mut self, name: &str) {
        self.loaded.remove(name);
    }

    /// A loaded program.
    pub fn get(&self, name: &str) -> Option<BorrowedFd<'_>> {
        self.loaded.get(name).map(|loaded| loaded.program.as_fd())
    }
}

/// Of the kinds of maps that the object has.
fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::RingBuf(data)
        | Map::SkStorage(data) => Some(data),
        _ => None,
    }
}
