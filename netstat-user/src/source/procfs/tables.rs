//! The files of /proc/net that are no tables of sockets: routes, addresses, memberships.

use super::link::Of;
use super::{Fault, Pass, Procfs, ProcfsError, failed, lines, link, open, route};
use crate::model::{Address6, Membership, ProcRoute4, ProcRoute6};

impl Procfs {
    /// Calls `each` for every route of the main table, in the kernel's order; `None`: this kernel has no IPv4.
    ///
    /// # Errors
    /// When the file cannot be read to its end. A line that cannot be understood is a fault of the [`Pass`].
    pub fn routes4(&self, each: &mut dyn FnMut(ProcRoute4)) -> Result<Option<Pass>, ProcfsError> {
        self.rows("net/route", true, &mut |line| route::v4(line).map(&mut *each))
    }

    /// The same for IPv6, of which the file has every table and what the kernel learnt.
    ///
    /// # Errors
    /// As for [`Procfs::routes4`].
    pub fn routes6(&self, each: &mut dyn FnMut(ProcRoute6)) -> Result<Option<Pass>, ProcfsError> {
        self.rows("net/ipv6_route", false, &mut |line| route::v6(line).map(&mut *each))
    }

    /// Whether there is a file of this name in /proc/net.
    pub fn has(&self, name: &str) -> bool {
        self.file("net").join(name).exists()
    }

    /// Calls `each` for every IPv6 address, in the kernel's order; `None`: this kernel has no IPv6.
    ///
    /// # Errors
    /// As for [`Procfs::routes4`].
    pub fn addresses6(&self, each: &mut dyn FnMut(Address6)) -> Result<Option<Pass>, ProcfsError> {
        self.rows("net/if_inet6", false, &mut |line| link::inet6(line).map(&mut *each))
    }

    /// Calls `each` for every IPv4 multicast membership, in the kernel's order; `None`: this kernel has no multicast.
    ///
    /// # Errors
    /// As for [`Procfs::routes4`].
    pub fn groups4(&self, each: &mut dyn FnMut(Membership)) -> Result<Option<Pass>, ProcfsError> {
        let mut of = Of::default();
        self.rows("net/igmp", true, &mut |line| {
            if let Some(membership) = link::igmp(line, &mut of)? {
                each(membership);
            }
            Ok(())
        })
    }

    /// The same for IPv6.
    ///
    /// # Errors
    /// As for [`Procfs::routes4`].
    pub fn groups6(&self, each: &mut dyn FnMut(Membership)) -> Result<Option<Pass>, ProcfsError> {
        self.rows("net/igmp6", false, &mut |line| link::igmp6(line).map(&mut *each))
    }

    /// Reads a file line by line; `None`: there is none.
    pub(super) fn rows(
        &self,
        name: &str,
        heading: bool,
        read: &mut dyn for<'a> FnMut(&'a [u8]) -> Result<(), Fault<'a>>,
    ) -> Result<Option<Pass>, ProcfsError> {
        let path = self.file(name);
        let Some(mut lines) = open(&path)? else { return Ok(None) };
        let mut pass = Pass::default();
        while let Some(lines::Line { bytes, number }) = lines.next().map_err(failed("read", &path))? {
            if heading && number == 1 {
                continue;
            }
            match read(bytes) {
                Ok(()) => pass.rows += 1,
                Err(fault) => pass.add(&path, number, fault),
            }
        }
        Ok(Some(pass))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    /// A /proc whose file of this name has this text.
    fn proc(name: &str, text: &[u8]) -> (tempfile::TempDir, Procfs) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("net")).unwrap();
        std::fs::write(root.path().join("net").join(name), text).unwrap();
        let procfs = Procfs::at(root.path());
        (root, procfs)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn routes_are_read() {
        let text = b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT      \n\
            eth0\t00000000\tFE00010A\t0003\t0\t0\t-1\t00000000\t1400\t4294967295\t100        \n*\t0000140A\t0\n";
        let (_root, procfs) = proc("route", text);
        let mut rows = Vec::new();
        let pass = procfs.routes4(&mut |row| rows.push(row)).unwrap().unwrap();
        assert_eq!((pass.rows, pass.faulty), (1, 1));
        assert!(
            pass.faults[0].to_string().ends_with("net/route:3: Flags is not there: \"\""),
            "{:?}",
            pass.faults
        );
        let wanted = ProcRoute4 {
            interface: b"eth0".to_vec(),
            gateway: [10, 1, 0, 254],
            flags: 3,
            metric: -1,
            mtu: 1400,
            window: -1,
            irtt: 100,
            ..ProcRoute4::default()
        };
        assert_eq!(rows, [wanted]);
        assert!(procfs.routes6(&mut |_| {}).unwrap().is_none());
    }

    #[test]
    fn ipv6_routes_and_addresses_are_read() {
        let text = b"20010db8000100000000000000000000 40 00000000000000000000000000000000 00 \
            20010db8000000000000000000000002 00000100 00000006 00000000 00000003   veth10\n";
        let (_root, procfs) = proc("ipv6_route", text);
        let mut rows = Vec::new();
        procfs.routes6(&mut |row| rows.push(row)).unwrap();
        assert_eq!((rows[0].destination, rows[0].bits), ("2001:db8:1::".parse().unwrap(), 64));
        assert_eq!((rows[0].gateway, rows[0].metric), ("2001:db8::2".parse().unwrap(), 256));
        assert_eq!((rows[0].references, rows[0].interface.as_slice()), (6, b"veth10".as_slice()));

        let (_root, procfs) = proc("if_inet6", b"fe800000000000000000000000000001 0a 40 20 80     eth0\n");
        let mut rows = Vec::new();
        procfs.addresses6(&mut |row| rows.push(row)).unwrap();
        assert_eq!((rows[0].interface, rows[0].bits, rows[0].scope, rows[0].flags), (10, 64, 0x20, 0x80));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn memberships_belong_to_the_interface_above_them() {
        let text = b"Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
            1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
            12\tfifteen-letters:     1      V3\n\t\t\t\t030201EF     2 0:00000000\t\t0\n";
        let (_root, procfs) = proc("igmp", text);
        let mut rows = Vec::new();
        let pass = procfs.groups4(&mut |row| rows.push(row)).unwrap().unwrap();
        assert_eq!(pass.faulty, 0, "{pass:?}");
        let shown: Vec<_> =
            rows.iter().map(|row| (row.interface, row.name.as_slice(), row.group, row.users)).collect();
        let group = |bytes: [u8; 4]| IpAddr::V4(Ipv4Addr::from(bytes));
        assert_eq!(
            shown,
            [
                (1, b"lo".as_slice(), group([224, 0, 0, 1]), 1),
                (12, b"fifteen-letters", group([239, 1, 2, 3]), 2),
            ]
        );
        assert_eq!(rows[0].family(), Family::V4);

        let (_root, procfs) =
            proc("igmp6", b"4    eth0            ff020000000000000000000000000001     1 0000000C 0\n");
        let mut rows = Vec::new();
        procfs.groups6(&mut |row| rows.push(row)).unwrap();
        assert_eq!((rows[0].group, rows[0].users), ("ff02::1".parse().unwrap(), 1));
    }

    proptest! {
        #[test]
        fn any_line_is_a_row_or_a_fault(text in prop::collection::vec(prop_oneof![
            Just(b'\n'), Just(b'\t'), Just(b' '), Just(b'0'), Just(b'F'), any::<u8>(),
        ], 0..200)) {
            for line in text.split(|&byte| byte == b'\n') {
                let _ = route::v4(line);
                let _ = route::v6(line);
                let _ = link::igmp(line, &mut Of::default());
                let _ = link::igmp6(line);
                let _ = link::inet6(line);
            }
        }
    }
}
