//! `cargo xtask`: builds, runs, tests and measures enetstat, and installs what each of these needs.

mod bench;
mod build;
mod guest;
mod initramfs;
mod insns;
mod kernels;
mod linker;
mod lint;
mod outcome;
mod run;
mod setup;
mod shell;
mod test;
mod tidy;
mod vm;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, runs, tests and measures enetstat", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need: rust-src, bpf-linker, cargo-deny, Debian packages
    Setup,
    /// Build enetstat with its eBPF object inside
    Build {
        /// Build with optimisation, into the target directory's `release`
        #[arg(long)]
        release: bool,
    },
    /// Build enetstat as yourself, then run it as root: `cargo xtask run -- trace`
    Run {
        /// Run the build without optimisation
        #[arg(long)]
        debug: bool,
        /// What enetstat gets on its command line
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Run every test: unit, golden, model, command line, live, parity, and one virtual machine
    Test {
        /// Leave the virtual machine out
        #[arg(long)]
        no_vm: bool,
        /// What each test program gets on its command line, such as part of a test's name
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Check format, lints, licences and house rules
    Lint,
    /// Show the size and the stack of each program of the kernel half, as built and as this kernel loads it
    Insns {
        /// Keep the numbers in netstat-ebpf/insns.txt, which `lint` compares with the build
        #[arg(long)]
        bless: bool,
    },
    /// Run the live tests on other kernels, in virtual machines
    Vm(vm::Options),
    /// Run a benchmark of tests/bench as root
    Bench {
        /// Name of the benchmark, then its own arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Fuzz a target of tests/fuzz; needs cargo-fuzz and a nightly toolchain
    Fuzz {
        /// Name of the target, then arguments for cargo-fuzz; lists the targets when left out
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup => setup::all(),
        Command::Build { release } => build::build(release),
        Command::Run { debug, args } => run::run(debug, &args),
        Command::Test { no_vm, args } => test::test(!no_vm, &args),
        Command::Lint => lint::lint(),
        Command::Insns { bless } => insns::insns(bless),
        Command::Vm(options) => vm::vm(&options),
        Command::Bench { args } => bench::bench(&args),
        Command::Fuzz { args } => bench::fuzz(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
