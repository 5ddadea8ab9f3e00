//! Counters: of protocols, of routing, of multicast, of one interface, and the memory of sockets.

use super::{Show, only};
use crate::args::bsd::counted;
use crate::model::{Family, Group};
use crate::render::bsd::tables;
use crate::render::statistics::bsd::block;
use crate::source::procfs::counters::Counters;
use crate::source::procfs::{Pass, ProcfsError};
use crate::source::{Procfs, chain};
use crate::view::groups::about;

/// Titles in BSD's order, and the groups below each.
const BLOCKS: &[(&str, &[&str])] = &[
    ("tcp", &["Tcp", "TcpExt"]),
    ("mptcp", &["MPTcpExt"]),
    ("udp", &["Udp"]),
    ("udplite", &["UdpLite"]),
    ("sctp", &["Sctp"]),
    ("ip", &["Ip", "IpExt"]),
    ("icmp", &["Icmp", "IcmpMsg"]),
    ("udp6", &["Udp6"]),
    ("udplite6", &["UdpLite6"]),
    ("ip6", &["Ip6"]),
    ("icmp6", &["Icmp6"]),
    ("ipsec", &["Xfrm"]),
    ("tls", &["Tls"]),
];

impl Show<'_> {
    fn read(&mut self, read: Result<(Vec<Group>, Pass), ProcfsError>) -> Vec<Group> {
        match read {
            Ok((groups, pass)) => {
                self.passed(pass);
                groups
            }
            Err(error) => {
                self.missing(chain(&error));
                Vec::new()
            }
        }
    }

    /// Every group of the wanted families and protocol.
    fn groups(&mut self, families: &[Family], protocol: Option<&str>) -> Vec<Group> {
        let procfs = Procfs::host();
        let mut groups = Vec::new();
        let files = [
            Counters::Snmp,
            Counters::Netstat,
            Counters::Snmp6,
            Counters::Sctp,
            Counters::Xfrm,
            Counters::Tls,
        ];
        for file in files {
            groups.extend(self.read(procfs.counters(file)));
        }
        let of = protocol.map(counted);
        groups.retain(|group| {
            let (_, family) = about(&group.name);
            family.is_none_or(|family| families.contains(&family))
                && of.is_none_or(|of| of.iter().any(|name| name.as_bytes() == group.name))
        });
        groups
    }

    /// Shows groups under BSD's titles.
    fn blocks(&mut self, groups: &[Group], interface: Option<&[u8]>, zeros: bool) {
        if self.plan.json {
            let at = self.now();
            for group in groups {
                let (_, family) = about(&group.name);
                self.json.counters(&mut self.text, at, family, interface, group);
            }
            return;
        }
        for (title, names) in BLOCKS {
            let of =
                names.iter().filter_map(|name| groups.iter().find(|group| group.name == name.as_bytes()));
            let of: Vec<&Group> = of.collect();
            if of.is_empty() {
                continue;
            }
            let title = match interface {
                Some(name) => [title.as_bytes(), b" on ", name].concat(),
                None => title.as_bytes().to_vec(),
            };
            block(&mut self.text, &title, &of, zeros);
        }
    }

    pub(super) fn statistics(
        &mut self,
        families: &[Family],
        protocol: Option<&str>,
        zeros: bool,
    ) -> anyhow::Result<()> {
        let groups = self.groups(families, protocol);
        if let Some(name) = protocol.filter(|_| groups.is_empty()) {
            self.missing(format_args!(
                "this kernel, or the families that were asked for, count nothing of {name}"
            ));
        }
        self.blocks(&groups, None, zeros);
        Ok(())
    }

    pub(super) fn interface_statistics(
        &mut self,
        name: Option<&[u8]>,
        families: &[Family],
        protocol: Option<&str>,
        zeros: bool,
    ) -> anyhow::Result<()> {
        let links = only(self.links()?, name)?;
        if families.contains(&Family::V4) && families.len() == 1 {
            self.missing("Linux does not count IPv4 by interface");
            return Ok(());
        }
        let of = protocol.map(counted);
        if let Some(of) = of.filter(|of| !of.iter().any(|name| matches!(*name, "Ip6" | "Icmp6"))) {
            let of = of.join(", ");
            self.missing(format_args!("Linux does not count {of} by interface: ip6 and icmp6 it does"));
            return Ok(());
        }
        for link in links {
            let mut groups = self.read(Procfs::host().interface_counters(&link.name));
            groups.retain(|group| of.is_none_or(|of| of.iter().any(|name| name.as_bytes() == group.name)));
            self.blocks(&groups, Some(&link.name), zeros);
        }
        Ok(())
    }

    pub(super) fn route_statistics(&mut self, families: &[Family]) -> anyhow::Result<()> {
        let (v4, v6) = (families.contains(&Family::V4), families.contains(&Family::V6));
        let groups = self.read(Procfs::host().routing(v4, v6));
        let zeros = self.zeros();
        let mut ip = self.groups(families, None);
        let no_route = |name: &[u8]| name.ends_with(b"NoRoutes");
        for group in &mut ip {
            group.counters.retain(|counter| no_route(&counter.name));
        }
        let groups: Vec<Group> =
            groups.into_iter().chain(ip.into_iter().filter(|group| !group.counters.is_empty())).collect();
        if self.plan.json {
            let at = self.now();
            for group in &groups {
                let family = if group.name.contains(&b'6') { Family::V6 } else { Family::V4 };
                self.json.counters(&mut self.text, at, Some(family), None, group);
            }
            return Ok(());
        }
        self.text.extend_from_slice(b"routing:\n");
        for group in &groups {
            self.text.push(b'\t');
            let of: [&Group; 1] = [group];
            let mut lines = Vec::new();
            block(&mut lines, &group.name, &of, zeros);
            if lines.is_empty() {
                self.text.pop();
                continue;
            }
            // One deeper than a block of its own.
            let lines = lines.strip_suffix(b"\n").unwrap_or(&lines);
            for (at, line) in lines.split(|byte| *byte == b'\n').enumerate() {
                if at > 0 {
                    self.text.push(b'\t');
                }
                self.text.extend_from_slice(line);
                self.text.push(b'\n');
            }
        }
        Ok(())
    }

    /// Whether counters of 0 are shown: `-s` once.
    fn zeros(&self) -> bool {
        match &self.plan.display {
            crate::args::bsd::Display::RouteStatistics { zeros, .. }
            | crate::args::bsd::Display::MulticastStatistics { zeros, .. } => *zeros,
            _ => true,
        }
    }

    pub(super) fn multicast_statistics(&mut self, families: &[Family]) -> anyhow::Result<()> {
        let zeros = self.zeros();
        let mut groups = self.groups(families, None);
        let multicast = |name: &[u8]| {
            let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
            has(b"Mcast") || has(b"GroupMemb") || has(b"MLDv2")
        };
        for group in &mut groups {
            group.counters.retain(|counter| multicast(&counter.name));
        }
        groups.retain(|group| !group.counters.is_empty());
        self.blocks(&groups, None, zeros);
        if families.contains(&Family::V4) {
            self.missing("Linux does not count IGMP messages");
        }
        Ok(())
    }

    pub(super) fn buffers(&mut self) -> anyhow::Result<()> {
        let groups = self.read(Procfs::host().buffers());
        if self.plan.json {
            let at = self.now();
            for group in &groups {
                self.json.counters(&mut self.text, at, None, None, group);
            }
            return Ok(());
        }
        tables::buffers(&mut self.text, &groups);
        Ok(())
    }
}
