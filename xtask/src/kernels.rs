//! Debian's cloud kernels: fetched with the machine's own apt, unpacked into the user's cache, never installed.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::setup::{self, Lock};
use crate::shell::{self, say};

/// What the command line calls a kernel, and the Debian suite that has it.
pub const KERNELS: &[(&str, &str)] =
    &[("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie"), ("newest", "sid")];

/// Names the archive where apt itself knows none of Debian's.
const ARCHIVE_VARIABLE: &str = "ENETSTAT_DEBIAN_ARCHIVE";

/// Signs every suite; older machines trust it without being told.
const KEYRINGS: &[&str] =
    &["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// What the tests need from the kernel, where it is not built in.
const MODULES: &[&str] = &[
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "raw_diag",
    "unix_diag",
    "netlink_diag",
    "af_packet_diag",
    "mptcp_diag",
    "sctp_diag",
    "vsock_diag",
    "tun",
    "veth",
    "dummy",
    "bridge",
    "sch_netem",
    "sch_ingress",
    "cls_bpf",
    "tls",
    "nf_conntrack",
    "nf_tables",
    "nft_ct",
    "nft_reject_inet",
    "ip_gre",
    "sit",
];

/// An unpacked kernel.
pub struct Kernel {
    /// What the command line calls it.
    pub name: &'static str,
    /// What `uname -r` will say.
    pub release: String,
    pub image: PathBuf,
    modules: PathBuf,
}

/// The kernel of this name; downloaded when the cache has none, or when a `fresh` look at the archive finds a newer one.
pub fn obtain(name: &str, fresh: bool) -> anyhow::Result<Kernel> {
    let Some(&(name, suite)) = KERNELS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = KERNELS.iter().map(|(known, _)| *known).collect();
        bail!("no kernel {name:?}: there are {}", known.join(", "));
    };
    let directory = setup::cache_dir()?.join("kernels").join(suite);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let _lock = Lock::take(&directory.join("lock"))?;
    let current = directory.join("current");
    let release = match fs::read_to_string(&current) {
        Ok(release) if !fresh && directory.join(release.trim()).is_dir() => release.trim().to_owned(),
        _ => {
            let release = download(suite, &directory)
                .with_context(|| format!("getting the kernel of Debian {suite}"))?;
            fs::write(&current, format!("{release}\n"))
                .with_context(|| format!("cannot write {}", current.display()))?;
            release
        }
    };
    let unpacked = directory.join(&release);
    // Which of these a package uses depends on its age.
    let modules = ["usr/lib/modules", "lib/modules"].map(|dir| unpacked.join(dir).join(&release));
    let images = [
        unpacked.join(format!("boot/vmlinuz-{release}")),
        modules[0].join("vmlinuz"),
        modules[1].join("vmlinuz"),
    ];
    let missing = |what| {
        format!("{} has no {what}: remove that directory to have it fetched again", unpacked.display())
    };
    let image = images.into_iter().find(|path| path.is_file()).with_context(|| missing("kernel image"))?;
    let modules = modules.into_iter().find(|path| path.is_dir()).with_context(|| missing("modules"))?;
    Ok(Kernel { name, release, image, modules })
}

/// Fetches and unpacks the suite's kernel; returns its release.
fn download(suite: &str, directory: &Path) -> anyhow::Result<String> {
    for program in ["apt-get", "apt-cache", "dpkg"] {
        if shell::which(program).is_none() {
            bail!("{program} is missing: Debian's kernels can only be fetched on a system with apt");
        }
    }
    let work = directory.join("apt");
    let _ = fs::remove_dir_all(&work);
    for part in ["lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(work.join(part)).with_context(|| format!("cannot create {}", work.display()))?;
    }
    say(format_args!("fetching the kernel of Debian {suite} into {} (once)", directory.display()));
    let signed = KEYRINGS.iter().find(|path| Path::new(path).exists());
    let signed = signed.map(|path| format!("[signed-by={path}] ")).unwrap_or_default();
    let sources = work.join("sources.list");
    fs::write(&sources, format!("deb {signed}{} {suite} main\n", archive()?))
        .with_context(|| format!("cannot write {}", sources.display()))?;
    let apt = |program: &str| {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").current_dir(work.join("packages")).arg("-q");
        for (option, value) in [
            ("Dir::Etc::sourcelist", sources.as_path()),
            ("Dir::Etc::sourceparts", "-".as_ref()),
            ("Dir::State::lists", &work.join("lists")),
            ("Dir::Cache", &work.join("cache")),
            ("Acquire::Languages", "none".as_ref()),
            ("Acquire::Retries", "3".as_ref()),
            // Our directories belong to the user; apt's own would be useless here.
            ("APT::Sandbox::User", "root".as_ref()),
            ("APT::Architecture", "amd64".as_ref()),
        ] {
            command.arg("-o").arg(format!("{option}={}", value.display()));
        }
        command
    };
    shell::output(apt("apt-get").arg("update"))?;
    let depends = |package: &str| -> anyhow::Result<Vec<String>> {
        let text = shell::output(apt("apt-cache").args(["depends", "--important", package]))?;
        Ok(text.lines().filter_map(|line| Some(line.split_once("Depends: ")?.1.trim().to_owned())).collect())
    };
    let main = depends("linux-image-cloud-amd64")?;
    let main =
        main.into_iter().find(|name| name.starts_with("linux-image-") && name.ends_with("-cloud-amd64"));
    let main = main.context("linux-image-cloud-amd64 depends on no kernel")?;
    let release = main.trim_start_matches("linux-image-").to_owned();
    let unpacked = directory.join(&release);
    if !unpacked.is_dir() {
        let mut packages = depends(&main)?;
        // Since 7.x the image and the modules are packages of their own.
        packages.retain(|name| name.starts_with("linux-binary-") || name.starts_with("linux-modules-"));
        packages.push(main);
        shell::output(apt("apt-get").arg("download").args(&packages))?;
        let part = directory.join("unpacking");
        let _ = fs::remove_dir_all(&part);
        for entry in fs::read_dir(work.join("packages"))? {
            shell::output(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(&part))?;
        }
        fs::rename(&part, &unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
    }
    let _ = fs::remove_dir_all(&work);
    Ok(release)
}

/// Base address of Debian's archive, as this machine's apt knows it.
fn archive() -> anyhow::Result<String> {
    if let Ok(archive) = env::var(ARCHIVE_VARIABLE) {
        return Ok(archive);
    }
    let format = "$(ORIGIN)\t$(LABEL)\t$(REPO_URI)";
    let text = shell::output(Command::new("apt-get").args(["indextargets", "--format", format]))?;
    choose_archive(&text).map(str::to_owned).with_context(|| {
        format!("this machine's apt knows no archive of Debian: name one in the variable {ARCHIVE_VARIABLE}")
    })
}

/// The origin is known once apt has fetched its lists; before that the address must do.
fn choose_archive(targets: &str) -> Option<&str> {
    let lines = || targets.lines().filter_map(|line| line.rsplit_once('\t'));
    let by_origin = lines().find(|(origin, _)| *origin == "Debian\tDebian");
    let by_address = || lines().find(|(_, address)| address.trim_end_matches('/').ends_with("/debian"));
    by_origin.or_else(by_address).map(|(_, address)| address)
}

impl Kernel {
    /// The modules the tests need, and those they need, in the order in which they load: name and content. What this
    /// kernel has built in, or lacks, is left out.
    pub fn modules(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut files = BTreeMap::new();
        index(&self.modules, &mut files)?;
        let mut chosen = Vec::new();
        let mut seen = BTreeSet::new();
        for name in MODULES {
            choose(name, &files, &mut seen, &mut chosen)?;
        }
        Ok(chosen)
    }
}

/// Every module below `directory`, by its name as the kernel writes it.
fn index(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            index(&entry.path(), files)?;
        } else if let Some((name, "ko" | "ko.xz")) = entry.file_name().to_string_lossy().split_once('.') {
            files.insert(name.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

fn choose(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    seen: &mut BTreeSet<String>,
    chosen: &mut Vec<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let Some(path) = files.get(name) else { return Ok(()) };
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let content = if path.extension().is_some_and(|end| end == "xz") {
        let output = Command::new("xz").arg("-dc").arg(path).output().context("cannot start xz")?;
        if !output.status.success() {
            bail!("xz cannot unpack {}", path.display());
        }
        output.stdout
    } else {
        fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    for needed in dependencies(&content) {
        choose(&needed, files, seen, chosen)?;
    }
    chosen.push((name.to_owned(), content));
    Ok(())
}

/// The names in the entry `depends=` of a module's `.modinfo`, where entries end with a zero byte.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let rest = &module[start + KEY.len()..];
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let names = String::from_utf8_lossy(&rest[..end]);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_what_it_depends_on() {
        assert_eq!(
            dependencies(b"\x7fELF..\0depends=inet_diag,nf-tables\0name=x\0"),
            ["inet_diag", "nf_tables"]
        );
        assert!(dependencies(b"..\0depends=\0name=x\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }

    #[test]
    fn the_archive_is_debians_main_one() {
        let lists = "Debian\tDebian-Security\thttp://a.example/debian-security/\nDebian\tDebian\thttp://a.example/debian/";
        assert_eq!(choose_archive(lists), Some("http://a.example/debian/"));
        let bare = "$(ORIGIN)\t$(LABEL)\thttp://a.example/debian-security\n$(ORIGIN)\t$(LABEL)\thttp://a.example/debian";
        assert_eq!(choose_archive(bare), Some("http://a.example/debian"));
        assert_eq!(choose_archive("Ubuntu\tUbuntu\thttp://a.example/ubuntu"), None);
    }
}
