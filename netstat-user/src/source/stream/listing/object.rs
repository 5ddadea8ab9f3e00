//! The object of a listing, with its maps made. It has no types of its own: `netstat-user/build.rs` leaves them out.

use super::super::around::memlock;
use super::super::linked::Linked;
use crate::kernel::Refusal;
use crate::kernel::bpf::Value;
use aya_obj::{EbpfSectionKind, Object as Parsed};
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The object.
pub struct Object {
    pub programs: Linked,
    maps: HashMap<String, Value>,
}

impl Object {
    /// Makes its maps; `settings` are the bytes of the variable of that name.
    ///
    /// # Errors
    /// It cannot be read, or the kernel refuses a map.
    pub fn open(elf: &[u8], variable: &str, settings: &[u8]) -> Result<Self, Refusal> {
        let bad = |cause: &dyn std::fmt::Display| Refusal::Object(cause.to_string());
        let mut parsed = Parsed::parse(elf).map_err(|cause| bad(&cause))?;
        let set = parsed.patch_map_data(HashMap::from([(variable, (settings, true))]));
        set.map_err(|cause| bad(&cause))?;
        let limit = memlock();
        let mut maps = HashMap::new();
        for (name, map) in &parsed.maps {
            let refused = |cause| Refusal::from_map(name.clone(), cause, limit);
            if map.max_entries() != 1 {
                return Err(Refusal::Object(format!("its map {name} is no single value")));
            }
            let made = Value::new(name, map.value_size(), map.map_flags()).map_err(refused)?;
            // What is not written is zero.
            if map.section_kind() == EbpfSectionKind::Rodata {
                made.write(map.data()).and_then(|()| made.freeze()).map_err(refused)?;
            }
            maps.insert(name.clone(), made);
        }
        let numbers: Vec<_> = parsed
            .maps
            .drain()
            .filter_map(|(name, map)| Some((maps.get(&name)?.as_fd().as_raw_fd(), name, map)))
            .collect();
        let numbers = numbers.iter().map(|(fd, name, map)| (name.as_str(), *fd, map));
        Ok(Self { programs: Linked::new(parsed, numbers)?, maps })
    }

    /// A map of the object.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn map(&self, name: &str) -> Result<BorrowedFd<'_>, Refusal> {
        let map = self.maps.get(name);
        map.map(AsFd::as_fd).ok_or_else(|| Refusal::Object(format!("it has no map {name}")))
    }
}
