//! Numbers of /proc/net that stand in layouts of their own: sockets and their memory (`sockstat`, `protocols`), routing
//! (`fib_triestat`, `rt6_stats`, `stat/rt_cache`), and the counters of one interface (`dev_snmp6`).

use super::{lines, name, numbered, v6_group, value, words};
use crate::model::{Counter, Group};
use crate::source::procfs::inet::hex;
use crate::source::procfs::{Fault, Pass, Procfs, ProcfsError, failed};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Names of the numbers of /proc/net/rt6_stats (`rt6_stats_seq_show`).
const RT6: [&[u8]; 7] =
    [b"Nodes", b"RouteNodes", b"Allocated", b"Entries", b"Cached", b"Destinations", b"Discarded"];

impl Procfs {
    /// Sockets by protocol, their memory and its limits, in pages; then the kernel's slabs of packets, which only root may
    /// see.
    ///
    /// # Errors
    /// When a file cannot be read to its end. One that does not exist has no numbers.
    pub fn buffers(&self) -> Result<(Vec<Group>, Pass), ProcfsError> {
        let mut pass = Pass::default();
        let mut groups = Vec::new();
        for file in ["net/sockstat", "net/sockstat6"] {
            let path = self.file(file);
            let bytes = read(path.clone())?;
            for (number, line) in numbered(&bytes) {
                match sockstat(line) {
                    Ok(group) => groups.push(group),
                    Err(fault) => pass.add(&path, number, fault),
                }
            }
        }
        for (group, setting) in [("TCP", "tcp_mem"), ("UDP", "udp_mem")] {
            let bytes = read(self.root.join("sys/net/ipv4").join(setting))?;
            let limits: Vec<i128> =
                words(bytes.trim_ascii_end()).filter_map(|word| value(word).ok()).collect();
            let Some(group) = groups.iter_mut().find(|other| other.name == group.as_bytes()) else {
                continue;
            };
            for (name, value) in [&b"mem_low"[..], b"mem_pressure", b"mem_limit"].into_iter().zip(limits) {
                group.counters.push(Counter { name: name.to_vec(), value });
            }
        }
        let path = self.root.join("slabinfo");
        let slabs = match fs::read(&path) {
            Ok(bytes) => slabs(&bytes),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
            {
                Vec::new()
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        groups.extend(slabs);
        Ok((groups, pass))
    }

    /// Counters of routing; those of a family that the kernel does not have are not there.
    ///
    /// # Errors
    /// As for [`Procfs::buffers`].
    pub fn routing(&self, v4: bool, v6: bool) -> Result<(Vec<Group>, Pass), ProcfsError> {
        let mut pass = Pass::default();
        let mut groups = Vec::new();
        if v4 {
            let path = self.file("net/stat/rt_cache");
            let bytes = read(path.clone())?;
            match summed(&bytes) {
                Ok(group) => groups.extend(group),
                Err((number, fault)) => pass.add(&path, number, fault),
            }
            groups.extend(trie(&read(self.file("net/fib_triestat"))?));
        }
        if v6 {
            let path = self.file("net/rt6_stats");
            let bytes = read(path.clone())?;
            let mut counters = Vec::new();
            for (name, text) in RT6.into_iter().zip(words(bytes.trim_ascii_end())) {
                match hex(text) {
                    Some(value) => counters.push(Counter { name: name.to_vec(), value: value.into() }),
                    None => {
                        pass.add(
                            &path,
                            1,
                            Fault { column: "rt6_stats", wanted: "a hexadecimal number", text },
                        );
                    }
                }
            }
            if !counters.is_empty() {
                groups.push(Group { name: b"Fib6".to_vec(), counters });
            }
        }
        Ok((groups, pass))
    }

    /// What an interface counts of IPv6 and ICMPv6; nothing where there is no IPv6.
    ///
    /// # Errors
    /// As for [`Procfs::buffers`].
    pub fn interface_counters(&self, interface: &[u8]) -> Result<(Vec<Group>, Pass), ProcfsError> {
        let mut pass = Pass::default();
        // No interface has a `/` in its name, nor is one called `..`.
        let path = self.file("net/dev_snmp6").join(std::ffi::OsStr::from_bytes(interface));
        let bytes = read(path.clone())?;
        let mut groups = lines(&bytes, v6_group, &mut |number, fault| pass.add(&path, number, fault));
        groups.retain(|group| group.name != b"Snmp6");
        Ok((groups, pass))
    }
}

/// A file, or nothing when there is none.
fn read(path: PathBuf) -> Result<Vec<u8>, ProcfsError> {
    match fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// `TCP: inuse 1 orphan 0`.
fn sockstat(line: &[u8]) -> Result<Group, Fault<'_>> {
    let mut fields = words(line);
    let title = fields.next().unwrap_or_default();
    let title = title.strip_suffix(b":").ok_or(Fault {
        column: "group",
        wanted: "a name and a colon",
        text: line,
    })?;
    let mut group = Group { name: name(title)?.to_vec(), counters: Vec::new() };
    while let Some(key) = fields.next() {
        let value = value(fields.next().unwrap_or_default())?;
        group.counters.push(Counter { name: name(key)?.to_vec(), value });
    }
    Ok(group)
}

/// A heading of names, and a line of hexadecimal numbers for each processor: their sums. The first number is no counter.
fn summed(bytes: &[u8]) -> Result<Option<Group>, (u64, Fault<'_>)> {
    let mut lines = numbered(bytes);
    let Some((_, heading)) = lines.next() else { return Ok(None) };
    let names: Vec<&[u8]> = words(heading).collect();
    let mut sums = vec![0_i128; names.len()];
    for (number, line) in lines {
        for (sum, text) in sums.iter_mut().zip(words(line)) {
            let value = hex(text);
            let value =
                value.ok_or((number, Fault { column: "rt_cache", wanted: "a hexadecimal number", text }))?;
            *sum += i128::from(value);
        }
    }
    let counters = names.into_iter().zip(sums).skip(1);
    let counters = counters.map(|(name, value)| Counter { name: name.to_vec(), value }).collect();
    Ok(Some(Group { name: b"RtCache".to_vec(), counters }))
}

/// The tables of IPv4 and how many entries they have. Averages and sizes are no counters.
fn trie(bytes: &[u8]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (_, line) in numbered(bytes) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (key, rest) = line.split_at(colon);
        let rest = rest.get(1..).unwrap_or_default().trim_ascii();
        if rest.is_empty() && key.first().is_some_and(u8::is_ascii_alphabetic) {
            groups.push(Group { name: [b"Fib ", key].concat(), counters: Vec::new() });
            continue;
        }
        let (key, number) = (key.trim_ascii(), value(rest));
        if let (Some(group), Ok(value), true) = (
            groups.last_mut(),
            number,
            matches!(key, b"Leaves" | b"Prefixes" | b"Max depth" | b"Internal nodes"),
        ) {
            group.counters.push(Counter { name: key.to_vec(), value });
        }
    }
    groups
}

/// The slabs that hold packets and sockets: `name active total size ...`.
fn slabs(bytes: &[u8]) -> Vec<Group> {
    let wanted = |name: &[u8]| name.starts_with(b"skbuff_") || name == b"sock_inode_cache";
    let groups = numbered(bytes).filter_map(|(_, line)| {
        let mut fields = words(line);
        let slab = fields.next().filter(|name| wanted(name))?;
        let mut counters = Vec::new();
        for name in [&b"active"[..], b"total", b"size"] {
            counters.push(Counter { name: name.to_vec(), value: value(fields.next()?).ok()? });
        }
        Some(Group { name: slab.to_vec(), counters })
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(groups: &[Group]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let of = |group: &Group| {
            let counters =
                group.counters.iter().map(|counter| format!(" {}={}", text(&counter.name), counter.value));
            text(&group.name) + &counters.collect::<String>()
        };
        groups.iter().map(of).collect()
    }

    #[test]
    fn every_layout_is_read() {
        assert_eq!(shown(&[sockstat(b"TCP: inuse 1 orphan 0").unwrap()]), ["TCP inuse=1 orphan=0"]);
        assert!(sockstat(b"TCP: inuse").is_err() && sockstat(b"TCP inuse 1").is_err());
        let text = b"entries  in_hit in_slow_tot\n00000007 00000001 0000000a\n00000007 00000002 0000000b\n";
        assert_eq!(shown(summed(text).unwrap().as_slice()), ["RtCache in_hit=3 in_slow_tot=21"]);
        assert_eq!(summed(b"entries in_hit\n7 x\n").unwrap_err().0, 2);
        let text =
            b"Basic info: size of leaf: 48 bytes\nMain:\n\tAver depth:     2.42\n\tLeaves:         7\n\
            \tInternal nodes: 5\n\t  1: 1  2: 3\nTotal size: 2  kB\nLocal:\n\tLeaves: 8\n";
        assert_eq!(shown(&trie(text)), ["Fib Main Leaves=7 Internal nodes=5", "Fib Local Leaves=8"]);
        let text = b"# name  <active_objs>\nskbuff_head_cache    384    400    256   16    1 : tunables\nTCP 1 2 3\n";
        assert_eq!(shown(&slabs(text)), ["skbuff_head_cache active=384 total=400 size=256"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(prop_oneof![
            Just(b' '), Just(b':'), Just(b'\n'), Just(b'1'), Just(b'L'), any::<u8>(),
        ], 0..200)) {
            let _ = (sockstat(&bytes), summed(&bytes), trie(&bytes), slabs(&bytes));
        }
    }
}
