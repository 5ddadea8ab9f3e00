//! net-tools 2.10's netstat, byte for byte: /proc in the kernel's order, its layouts, messages and exit codes.

mod modes;
mod output;
mod programs;
mod sctp;

use crate::agent::rare;
use crate::args::compat::{CompatPlan, Mode};
use crate::args::plan::Which;
use crate::model::{Family, Protocol, SockRow};
use crate::names::Names;
use crate::render::compat::{self as render, Layout};
use crate::source::procfs::scanned;
use crate::source::{Procfs, ProcfsError};
use output::Output;
use programs::Programs;
use rustc_hash::FxHashSet;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

/// net-tools' exit codes.
const UNSUPPORTED: u8 = 1;
const UNREADABLE: u8 = 255;

/// net-tools waits for the resolver as long as that takes.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// Between two listings of `-c`.
const INTERVAL: Duration = Duration::from_secs(1);

/// Does what net-tools' netstat would do, and gives its exit code. `terminal`: `out` is one.
pub fn run(plan: &CompatPlan, out: &mut dyn Write, terminal: bool, err: &mut dyn Write) -> u8 {
    die_of_broken_pipes();
    say(err, &plan.preface);
    let mut lister = Lister {
        plan,
        layout: Layout::of(plan, terminal),
        names: Names::of_net_tools(plan.naming),
        programs: None,
        out: Output::new(out, terminal),
        err,
    };
    let code = match plan.mode {
        Mode::Sockets | Mode::Groups => lister.sockets(),
        mode => modes::run(mode, plan, &mut lister.out, lister.err),
    };
    lister.out.finish();
    code
}

/// Rust programs ignore SIGPIPE. The original dies of it, which its caller may see, and which ends `-c`.
fn die_of_broken_pipes() {
    // SAFETY: no handler is installed, and no other thread is there yet.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// The original does not look whether its words can be written.
fn say(err: &mut dyn Write, text: &[u8]) {
    let _: io::Result<()> = err.write_all(text);
}

/// The whole program ends with this exit code.
struct Ends(u8);

struct Lister<'a> {
    plan: &'a CompatPlan,
    layout: Layout,
    names: Names,
    /// `None`: not looked for in this round.
    programs: Option<Programs>,
    out: Output<'a>,
    err: &'a mut dyn Write,
}

impl Lister<'_> {
    fn sockets(&mut self) -> u8 {
        loop {
            match self.round() {
                Err(Ends(code)) => return code,
                Ok(0) if self.plan.continuous => {
                    self.out.finish();
                    std::thread::sleep(INTERVAL);
                    self.programs = None;
                }
                Ok(code) => return code,
            }
        }
    }

    /// One listing. What fails ends it there, as in the original.
    fn round(&mut self) -> Result<u8, Ends> {
        let plan = self.plan;
        let (tables, every) = (plan.tables, !plan.explicit);
        if every || tables.inet() {
            self.find_programs();
            self.layout.inet_head(&mut self.out.buf);
            self.out.done();
        }
        if every || tables.tcp {
            self.inet(Protocol::Tcp, "AF INET (tcp)")?;
        }
        if every || tables.sctp {
            self.sctp()?;
        }
        if every || tables.udp {
            self.inet(Protocol::Udp, "AF INET (udp)")?;
        }
        if every || tables.udplite {
            self.inet(Protocol::UdpLite, "AF INET (udplite)")?;
        }
        if every || tables.raw {
            self.inet(Protocol::Raw, "AF INET (raw)")?;
        }
        if tables.groups {
            stop(modes::run(Mode::Groups, plan, &mut self.out, self.err))?;
        }
        if every || tables.unix {
            self.find_programs();
            self.unix()?;
        }
        if every || tables.ipx {
            // No kernel since 4.18 has it.
            stop(self.missing("AF IPX"))?;
        }
        for (wanted, network) in [
            (tables.ax25, rare::AX25),
            (tables.x25, rare::X25),
            (tables.netrom, rare::NETROM),
            (tables.rose, rare::ROSE),
        ] {
            if every || wanted {
                self.network(&network)?;
            }
        }
        if tables.bluetooth() {
            let said = "netstat: feature `AF BLUETOOTH' not supported.\nPlease recompile `net-tools' with newer \
                        kernel source or full configuration.\n";
            say(self.err, said.as_bytes());
            return Ok(UNSUPPORTED);
        }
        Ok(0)
    }

    fn find_programs(&mut self) {
        if self.plan.programs && self.programs.is_none() {
            let mut said = Vec::new();
            self.programs = Some(Programs::find(self.plan.context, &mut said));
            say(self.err, &said);
        }
    }

    /// Both tables of a protocol. Whether it is there is asked of the first alone.
    fn inet(&mut self, protocol: Protocol, name: &str) -> Result<(), Ends> {
        let plan = self.plan;
        let mut code = 0;
        if !plan.explicit || plan.inet {
            match self.table(protocol, Family::V4) {
                Ok(true) => {}
                Ok(false) => code = self.absent(name),
                Err(error) => return Err(self.unreadable(protocol, &error)),
            }
        }
        if !plan.explicit || plan.inet6 {
            // A second table that cannot be read is passed over.
            let _ = self.table(protocol, Family::V6);
        }
        stop(code)
    }

    /// Lists a table; false when there is none.
    fn table(&mut self, protocol: Protocol, family: Family) -> Result<bool, ProcfsError> {
        let Self { plan, layout, names, programs, out, .. } = self;
        let nobody = Programs::default();
        let programs = programs.as_ref().unwrap_or(&nobody);
        let mut print = |row: &SockRow, names: &mut Names| {
            layout.inet(&mut out.buf, row, programs.of(row.inode.into()), names);
            out.done();
        };
        let shown = |row: &SockRow| crate::agent::list::is_shown(row, plan.which);
        let pass = if names.wants_hosts() {
            // All of a table side by side instead of one after another: the same names, sooner.
            let mut rows = Vec::new();
            let pass = Procfs::host().list(protocol, family, &mut |row| rows.push(*row))?;
            rows.retain(shown);
            let hosts: FxHashSet<IpAddr> =
                rows.iter().flat_map(|row| [row.local.addr, row.foreign.addr]).collect();
            names.resolve(hosts, PATIENCE);
            rows.iter().for_each(|row| print(row, names));
            pass
        } else {
            Procfs::host().list(protocol, family, &mut |row| {
                if shown(row) {
                    print(row, names);
                }
            })?
        };
        for _ in 0..pass.faulty {
            let word = match protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp | Protocol::UdpLite => "udp",
                Protocol::Raw => "raw",
            };
            say(self.err, format!("warning, got bogus {word} line.\n").as_bytes());
        }
        Ok(!pass.absent)
    }

    fn unix(&mut self) -> Result<(), Ends> {
        self.layout.unix_head(&mut self.out.buf);
        self.out.done();
        let Self { plan, layout, programs, out, err, .. } = self;
        let nobody = Programs::default();
        let programs = programs.as_ref().unwrap_or(&nobody);
        let mut first = true;
        let result = Procfs::host().lines("unix", &mut |line| {
            if std::mem::take(&mut first) {
                return;
            }
            let Some(row) = scanned::unix(line) else {
                return say(*err, b"warning, got bogus unix line.\n");
            };
            let shown = match plan.which {
                Which::All => true,
                Which::Listening => render::listens(&row),
                Which::Connected => !render::listens(&row),
            };
            if shown {
                layout.unix(&mut out.buf, &row, programs.of(row.inode));
                out.done();
            }
        });
        match result {
            Ok(true) => Ok(()),
            Ok(false) => stop(self.absent("AF UNIX")),
            Err(_) => stop(self.absent("AF UNIX")),
        }
    }

    /// The sockets of a network that few kernels still have.
    fn network(&mut self, network: &rare::Network) -> Result<(), Ends> {
        // The head comes first, but only when the table is there: known once its first line, or its end, is read.
        let Self { layout, plan, out, .. } = self;
        let mut rows = Vec::new();
        let mut first = network.heading;
        let found = Procfs::host().lines(network.file, &mut |line| {
            if !std::mem::take(&mut first) {
                network.line(&mut rows, line, plan.which == Which::All);
            }
        });
        if matches!(found, Ok(false)) {
            return stop(self.missing(network.name));
        }
        out.buf.extend_from_slice(network.head.as_bytes());
        rows.split_inclusive(|&byte| byte == b'\n').for_each(|row| layout.visible_line(&mut out.buf, row));
        out.done();
        Ok(())
    }

    /// A family is not there; its exit code.
    fn missing(&mut self, name: &str) -> u8 {
        if self.plan.explicit || self.plan.verbose {
            self.no_support(name);
        }
        if self.plan.explicit { UNSUPPORTED } else { 0 }
    }

    /// A protocol is not there; its exit code.
    fn absent(&mut self, name: &str) -> u8 {
        let plan = self.plan;
        if plan.whole_family {
            return 0;
        }
        self.missing(name)
    }

    fn no_support(&mut self, name: &str) {
        say(self.err, format!("netstat: no support for `{name}' on this system.\n").as_bytes());
    }

    fn unreadable(&mut self, protocol: Protocol, error: &ProcfsError) -> Ends {
        let file = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::UdpLite => "udplite",
            Protocol::Raw => "raw",
        };
        let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let reason = reason.split(" (os error").next().unwrap_or_default().to_owned();
        say(self.err, format!("/proc/net/{file}: {reason}\n").as_bytes());
        Ends(UNREADABLE)
    }
}

/// An exit code other than 0 ends the program.
fn stop(code: u8) -> Result<(), Ends> {
    if code == 0 { Ok(()) } else { Err(Ends(code)) }
}
