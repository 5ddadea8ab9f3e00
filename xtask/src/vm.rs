//! `cargo xtask vm`: the live tests on other kernels, with every tier forced in turn.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::build::{self, Executable};
use crate::guest::{self, Report};
use crate::initramfs::Initramfs;
use crate::kernels::{self, KERNELS, Kernel};
use crate::outcome::Outcome;
use crate::setup::{self, Lock};
use crate::shell::{self, Workspace, say};

/// Tells the live tests which tier to force; they skip themselves where the kernel lacks it.
const TIER_VARIABLE: &str = "ENETSTAT_TIER";
/// How much the tests do in a guest, whose processor is emulated.
const SCALE: [&str; 6] = [
    "ENETSTAT_TEST_CONNECTIONS=2000",
    "ENETSTAT_TEST_CENSUS=600",
    "ENETSTAT_TEST_YOUNG_MS=5000",
    "ENETSTAT_TEST_PROCESSES=300",
    "ENETSTAT_TEST_STARTS=3",
    "ENETSTAT_TEST_SLOWDOWN=10",
];

/// Set on the host, it holds for the guests too.
const LONG_VARIABLE: &str = "ENETSTAT_TEST_LONG";

const TIERS: &[&str] = &["fentry", "tp_btf", "raw_tp", "kprobe", "tracepoint", "netlink"];

/// Programs of the host that tests may call; left out where the host has none.
const TOOLS: &[&str] = &["ip", "ss", "netstat", "tc", "nft", "setpriv", "unshare", "sh", "cat", "sleep"];

/// Files of the host that name services and protocols.
const TABLES: &[&str] = &["/etc/services", "/etc/protocols"];

#[derive(Args)]
pub struct Options {
    /// A kernel: 5.10, 6.1, 6.12 or newest; may be repeated [default: all]
    #[arg(long)]
    kernel: Vec<String>,
    /// A tier to force: fentry, tp_btf, raw_tp, kprobe, tracepoint or netlink; may be repeated [default: all]
    #[arg(long)]
    tier: Vec<String>,
    /// Keep the file systems of the guests and print how to start each by hand
    #[arg(long)]
    keep: bool,
    /// Ask the archive for newer kernels than those in the cache
    #[arg(long)]
    fresh: bool,
    /// Guests that run at a time
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Minutes until a guest is ended
    #[arg(long, default_value_t = 45)]
    limit: u64,
    /// What the tests get on their command line, such as part of a test's name
    #[arg(last = true)]
    args: Vec<String>,
}

impl Options {
    /// One kernel, the tiers that the host may lack, and the tests that need no load: what `cargo xtask test` runs. The
    /// tests under load are for `cargo xtask vm`: an emulated processor needs minutes for them.
    pub fn smoke(args: &[String]) -> Self {
        let light = [
            "short::",
            "owners::",
            "filters::",
            "queues::",
            "privilege::",
            "current::with",
            "listed::a_socket",
        ];
        let args = if args.is_empty() { light.map(str::to_owned).to_vec() } else { args.to_vec() };
        Self {
            kernel: vec!["6.1".to_owned()],
            tier: ["fentry", "kprobe", "tracepoint"].map(str::to_owned).to_vec(),
            keep: false,
            fresh: false,
            jobs: 1,
            limit: 15,
            args,
        }
    }
}

/// `cargo xtask vm`
pub fn vm(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::enter()?;
    setup::for_tests(true)?;
    let executables = build::everything()?;
    let results = matrix(&workspace, &executables, options)?;
    let failed = summarize(&results);
    if failed > 0 {
        bail!("{failed} of {} parts failed on the virtual machines", results.len());
    }
    Ok(())
}

/// One kernel with one tier; or a kernel that did not run to its end.
pub struct Part {
    pub kernel: String,
    pub tier: String,
    pub outcome: Outcome,
    pub took: Option<Duration>,
}

impl Part {
    pub fn failed(&self) -> bool {
        self.outcome.failed > 0
    }
}

/// Runs what the options ask for. Fails only if nothing could be run; what failed in a guest is in the result.
pub fn matrix(
    workspace: &Workspace,
    executables: &[Executable],
    options: &Options,
) -> anyhow::Result<Vec<Part>> {
    let defaults = |given: &[String], all: &[&str]| -> Vec<String> {
        if given.is_empty() { all.iter().map(|one| (*one).to_owned()).collect() } else { given.to_vec() }
    };
    let names: Vec<&str> = KERNELS.iter().map(|(name, _)| *name).collect();
    let names = defaults(&options.kernel, &names);
    let tiers = defaults(&options.tier, TIERS);
    if let Some(unknown) = tiers.iter().find(|tier| !TIERS.contains(&tier.as_str())) {
        bail!("no tier {unknown:?}: there are {}", TIERS.join(", "));
    }
    let directory = workspace.target.join("vm");
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let _lock = Lock::take(&directory.join("lock"))?;

    let (sender, results) = std::sync::mpsc::channel();
    let queue: Mutex<VecDeque<&String>> = Mutex::new(names.iter().collect());
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                let next = || queue.lock().ok()?.pop_front();
                while let Some(name) = next() {
                    let parts = one_kernel(name, &tiers, executables, &directory, options);
                    let parts = parts.unwrap_or_else(|error| vec![did_not_run(name, &format!("{error:#}"))]);
                    let _ = sender.send(parts);
                }
            });
        }
    });
    drop(sender);
    let mut parts: Vec<Part> = results.iter().flatten().collect();
    parts.sort_by_key(|part| names.iter().position(|name| part.kernel.starts_with(name.as_str())));
    Ok(parts)
}

fn did_not_run(kernel: &str, reason: &str) -> Part {
    say(format_args!("kernel {kernel}: {reason}"));
    let outcome = Outcome::failure(reason.to_owned());
    Part { kernel: kernel.to_owned(), tier: "-".to_owned(), outcome, took: None }
}

fn one_kernel(
    name: &str,
    tiers: &[String],
    executables: &[Executable],
    directory: &Path,
    options: &Options,
) -> anyhow::Result<Vec<Part>> {
    let kernel = kernels::obtain(name, options.fresh)?;
    let directory = directory.join(name);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let initramfs = directory.join("initramfs");
    let limit = Duration::from_secs(options.limit * 60);
    let mut qemu = guest::command(&kernel.image, &initramfs);
    let mut all = Vec::new();
    let mut left = tiers;
    // A guest that dies takes one tier with it: another one goes on with the rest.
    for attempt in 0.. {
        let suffix = if attempt == 0 { String::new() } else { format!(".{attempt}") };
        let log = directory.join(format!("console.log{suffix}"));
        pack(&kernel, left, executables, &initramfs, options)?;
        say(format_args!("booting {} for {}; console: {}", kernel.release, left.join(", "), log.display()));
        let report = guest::run(&mut qemu, &log, limit)?;
        tell(&kernel, left, &report);
        let done = if report.death.is_some() { report.outcomes.len().max(1) } else { left.len() };
        let (now, later) = left.split_at(done.min(left.len()));
        let stillborn = report.outcomes.is_empty();
        all.extend(parts(&kernel, if stillborn { left } else { now }, report));
        left = later;
        if left.is_empty() || stillborn {
            break;
        }
    }
    if options.keep {
        say(format_args!("start it again with: {}", by_hand(&shell::show(&qemu))));
    } else {
        let _ = fs::remove_file(&initramfs);
    }
    Ok(all)
}

/// The kernel's command line has spaces.
fn by_hand(command: &str) -> String {
    command.replace("-append console=ttyS0 quiet panic=-1", "-append 'console=ttyS0 quiet panic=-1'")
}

/// What a guest printed is shown only where something went wrong; the log has all of it.
fn tell(kernel: &Kernel, tiers: &[String], report: &Report) {
    for problem in &report.problems {
        say(format_args!("{}: {problem}", kernel.release));
    }
    for ((tier, outcome), output) in tiers.iter().zip(&report.outcomes).zip(&report.outputs) {
        let closing =
            output.lines().rfind(|line| line.starts_with("test result:")).unwrap_or("no test result");
        if outcome.failed > 0 {
            say(format_args!("{}, tier {tier}, all it printed:", kernel.release));
            let _ = std::io::stderr().lock().write_all(output.as_bytes());
        }
        say(format_args!("{}, tier {tier}: {closing}", kernel.release));
    }
    if let Some(death) = &report.death {
        say(format_args!("{}: {death}", kernel.release));
    }
}

fn parts(kernel: &Kernel, tiers: &[String], report: Report) -> Vec<Part> {
    let label = if kernel.release.starts_with(kernel.name) {
        kernel.release.clone()
    } else {
        format!("{} ({})", kernel.name, kernel.release)
    };
    let death = report.death.unwrap_or_else(|| "the guest ended early".to_owned());
    let mut outcomes = report.outcomes.into_iter();
    let mut parts: Vec<Part> = Vec::new();
    for tier in tiers {
        let outcome = outcomes.next().unwrap_or_else(|| Outcome::failure(format!("(not run: {death})")));
        parts.push(Part { kernel: label.clone(), tier: tier.clone(), outcome, took: None });
    }
    if let Some(last) = parts.last_mut() {
        last.took = Some(report.took);
    }
    parts
}

/// The table over all kernels; returns how many parts failed.
pub fn summarize(parts: &[Part]) -> usize {
    let wide = parts.iter().map(|part| part.kernel.len()).max().unwrap_or_default();
    for part in parts {
        let took =
            part.took.map(|took| format!("  ({} s in this guest)", took.as_secs())).unwrap_or_default();
        let verdict = if part.failed() { "FAILED" } else { "ok" };
        say(format_args!("{:wide$}  {:10}  {verdict:6}  {}{took}", part.kernel, part.tier, part.outcome));
        for name in &part.outcome.failures {
            say(format_args!("{:wide$}  {:10}    {name}", "", ""));
        }
    }
    parts.iter().filter(|part| part.failed()).count()
}

/// Builds the guest's file system.
fn pack(
    kernel: &Kernel,
    tiers: &[String],
    executables: &[Executable],
    path: &Path,
    options: &Options,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let scratch = path.parent().context("the file system of a guest has no directory")?;
    let find = |name: &str, test: bool| {
        executables
            .iter()
            .find(|one| one.name == name && one.test == test)
            .with_context(|| format!("cargo built no program {name}"))
    };
    let live = find("live", true)?;
    let mut guest = Initramfs::default();
    for (directory, permissions) in
        [("/tmp", 0o1777), ("/proc", 0o555), ("/sys", 0o555), ("/run", 0o755), ("/var", 0o755)]
    {
        guest.directory(directory, permissions);
    }
    guest.directory("/run/netns", 0o755);
    guest.link("/var/run", "/run");
    guest.device("/dev/console", 0o600, 5, 1);
    guest.device("/dev/null", 0o666, 1, 3);
    guest.program("/init", &find("netstat-vm-init", false)?.path, scratch)?;
    // Programs stand where they stand on the host, for tests that know each other's path from the build.
    let programs = executables
        .iter()
        .filter(|one| !one.test && !matches!(one.name.as_str(), "xtask" | "netstat-vm-init"));
    for program in programs.chain([live]) {
        guest.program(&program.path, &program.path, scratch)?;
    }
    for tool in TOOLS {
        if let Some(found) = shell::which(tool) {
            guest.program(PathBuf::from("/usr/bin").join(tool), &found, scratch)?;
        }
    }
    guest.link("/bin/sh", "/usr/bin/sh");
    for table in TABLES {
        guest.copy(table, Path::new(table))?;
    }
    guest.file("/etc/passwd", 0o644, "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n");
    guest.file("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n");
    guest.file(
        "/etc/nsswitch.conf",
        0o644,
        "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
    );
    guest.file("/etc/hosts", 0o644, "127.0.0.1 localhost enetstat\n::1 localhost ip6-localhost\n");

    let mut list = String::new();
    for (name, content) in kernel.modules()? {
        let path = format!("/modules/{name}.ko");
        list.push_str(&format!("{path}\n"));
        guest.file(path, 0o644, content);
    }
    guest.file("/etc/modules", 0o644, list);
    guest.directory(&live.directory, 0o755);
    guest.file("/etc/tests", 0o644, commands(tiers, executables, live, options)?);

    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut out = BufWriter::new(file);
    guest
        .write(&mut out)
        .and_then(|()| out.flush())
        .with_context(|| format!("cannot write {}", path.display()))?;
    let size = path.metadata().map_or(0, |meta| meta.len());
    say(format_args!(
        "{}: file system of {} MiB packed in {:.1} s",
        kernel.release,
        size >> 20,
        start.elapsed().as_secs_f32()
    ));
    Ok(())
}

/// The lines of `/etc/tests`: the live tests, once for each tier. See tests/vm/init for their form.
fn commands(
    tiers: &[String],
    executables: &[Executable],
    live: &Executable,
    options: &Options,
) -> anyhow::Result<String> {
    // A share of the guest's time each, less the time to boot.
    let seconds = (options.limit * 60).saturating_sub(60).max(60) / tiers.len().max(1) as u64;
    let enetstat = executables.iter().find(|one| one.name == "enetstat" && !one.test);
    let enetstat = enetstat.context("cargo built no program enetstat")?;
    let mut text = String::new();
    for tier in tiers {
        let mut words = vec![seconds.to_string(), live.directory.display().to_string()];
        words.push(format!("{TIER_VARIABLE}={tier}"));
        words.push(format!("ENETSTAT_BIN={}", enetstat.path.display()));
        words.push(format!("CARGO_MANIFEST_DIR={}", live.directory.display()));
        words.extend(SCALE.map(str::to_owned));
        if let Ok(long) = std::env::var(LONG_VARIABLE) {
            words.push(format!("{LONG_VARIABLE}={long}"));
        }
        words.push(live.path.display().to_string());
        words.extend(["--test-threads=1".to_owned(), "--show-output".to_owned()]);
        words.extend(options.args.iter().cloned());
        if words.iter().any(|word| word.contains(['\t', '\n'])) {
            bail!(
                "a path or an argument has a tab or a line break, which a guest's list of commands cannot hold"
            );
        }
        text.push_str(&words.join("\t"));
        text.push('\n');
    }
    Ok(text)
}
