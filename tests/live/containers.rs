//! Containers and control groups. There is no container runtime here: the groups are made by hand, named as runtimes do.

use anyhow::{Context, Result, ensure};
use netstat_tests::need::{Need, need, skip};
use netstat_tests::{Actor, NetNs, Trace, program};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const UID: &str = "74c13223-5a00-11e9-b385-42010a80018d";

/// Directories of control groups, the outer ones first; gone when this is dropped, which must be after the processes in them.
struct Groups(Vec<PathBuf>);

impl Groups {
    /// Makes `parts` below the mount point of the hierarchy, one in the other.
    fn new(mut path: PathBuf, parts: &[String]) -> Result<Self> {
        let mut groups = Self(Vec::new());
        for part in parts {
            path.push(part);
            std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
            groups.0.push(path.clone());
        }
        Ok(groups)
    }

    fn take(&self, pid: u32) -> Result<()> {
        let file = self.0.last().context("no group")?.join("cgroup.procs");
        Ok(std::fs::write(file, pid.to_string())?)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // A process that was just killed may still be in it.
            for _ in 0..200 {
                if std::fs::remove_dir(path).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Where a hierarchy is mounted whose line in /proc/mounts has these words.
fn mounted(kind: &str, option: &str) -> Result<Option<PathBuf>> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let of = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (point, found, options) = (words.next()?, words.next()?, words.next()?);
        (found == kind && options.split(',').any(|word| word == option)).then(|| point.into())
    };
    Ok(mounts.lines().find_map(of))
}

fn json(text: &[u8]) -> Result<Vec<Value>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
}

#[test]
fn sockets_are_told_by_pod_container_and_group() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let Some(root) = mounted("cgroup2", "rw")? else {
        skip("no cgroup2 is mounted");
        return Ok(());
    };
    let own = format!("enetstat{}.slice", std::process::id());
    let pod = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
    let groups = Groups::new(root, &[own.clone(), pod.clone(), format!("cri-containerd-{ID}.scope")])?;
    let path = format!("/{own}/{pod}/cri-containerd-{ID}.scope");
    let _namespace = NetNs::enter()?;
    let (mut inside, mut outside) = (Actor::start()?, Actor::start()?);
    groups.take(inside.pid())?;

    let trace = Trace::start(&tier, &["--container", &ID[..12], "--pod", UID])?;
    let addr = inside.listen(false)?;
    outside.connect(addr)?;
    inside.accept()?;
    let output = trace.stop()?;
    let told = json(&output.out)?;
    ensure!(!told.is_empty(), "nothing was told: {:?}", output.err);
    for line in &told {
        ensure!(line["network.local.port"] == addr.port(), "only the inner end: {line}");
        for (field, wanted) in [
            ("enetstat.cgroup.path", path.as_str()),
            ("container.id", ID),
            ("container.runtime.name", "containerd"),
            ("k8s.pod.uid", UID),
        ] {
            ensure!(line[field] == wanted, "{field}: {line}");
        }
    }

    let list = |words: &[&str]| -> Result<Vec<u8>> {
        let output = program::command(words)?.output()?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    };
    // Listener and accepted connection are inside, the client is not.
    for words in [["--container", ID], ["--pod", UID], ["--cgroup", &own], ["--cgroup", &path]] {
        let listed = json(&list(&["-tan", "--json", words[0], words[1]])?)?;
        ensure!(listed.len() == 2, "{words:?}: {listed:#?}");
        ensure!(listed.iter().all(|row| row["container.id"] == ID), "{words:?}: {listed:#?}");
    }
    ensure!(json(&list(&["-tan", "--json", "--container", "another"])?)?.is_empty());
    // A filter of both kinds, columns by name, and an order: each holds where the others do.
    let port = addr.port();
    let (sport, dport) = (format!("sport = :{port}"), format!("dport = :{port}"));
    for (sort, words) in [(&[][..], [&*sport, &*dport]), (&["--sort", "-local"], [&*sport, &*dport])] {
        let both = |word: &str| {
            let words = ["-tan", "--json", "--container", ID];
            let words: Vec<&str> = words.iter().chain(sort).copied().chain(word.split(' ')).collect();
            json(&list(&words)?)
        };
        let [inner, outer] = words;
        ensure!(both(inner)?.len() == 2 && both(outer)?.is_empty(), "{sort:?}");
        ensure!(both(inner)?.iter().all(|row| row["enetstat.cgroup.path"] == path.as_str()), "{sort:?}");
    }
    let columns = ["-tanH", "--columns", "state,pod,container,cgroup", "--sort", "state", "--pod", UID];
    let text = String::from_utf8(list(&columns)?)?;
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |state| vec![state, UID, &ID[..12], path.as_str()];
    ensure!(rows == [row("ESTABLISHED"), row("LISTEN")], "{text}");
    let usual = String::from_utf8(list(&["-tan", "--containers", "--cgroups", "--sort", "local"])?)?;
    ensure!(
        usual.starts_with("Pod ") && usual.lines().next().is_some_and(|head| head.contains("Cgroup")),
        "{usual}"
    );
    let kept = tempfile::tempdir()?;
    let file = kept.path().join("record");
    let name = file.to_str().context("a path")?;
    list(&["-tan", "--container", "another", "--dump", name])?;
    let none = std::fs::metadata(&file)?.len();
    list(&["-tan", "--container", ID, "--dump", name])?;
    ensure!(none < std::fs::metadata(&file)?.len(), "what is recorded is in the container");
    let text = String::from_utf8(list(&["-tan", "--containers", "--cgroups"])?)?;
    ensure!(
        text.lines().filter(|line| line.starts_with(&format!("{UID} {} tcp", &ID[..12]))).count() == 2,
        "{text}"
    );
    ensure!(text.lines().filter(|line| line.ends_with(&path)).count() == 2, "{text}");
    drop(inside);
    drop(outside);
    Ok(())
}

/// A process that a version 1 hierarchy manages is in the root of version 2: its own path tells.
#[test]
fn a_container_of_version_1_is_known_by_its_process() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let Some(root) = mounted("cgroup", "pids")? else {
        skip("no version 1 hierarchy of pids is mounted");
        return Ok(());
    };
    let groups = Groups::new(root, &[format!("enetstat{}", std::process::id()), ID.to_owned()])?;
    let _namespace = NetNs::enter()?;
    let (mut inside, mut outside) = (Actor::start()?, Actor::start()?);
    groups.take(inside.pid())?;
    let trace = Trace::start(&tier, &["--container", ID])?;
    let addr = inside.listen(false)?;
    outside.connect(addr)?;
    inside.accept()?;
    std::thread::sleep(Duration::from_millis(300));
    let told = json(&trace.stop()?.out)?;
    ensure!(told.iter().any(|line| line["network.connection.state"] == "listen"), "{told:#?}");
    ensure!(told.iter().all(|line| line["network.local.port"] == addr.port()), "{told:#?}");
    let output = program::command(&["-tlnp", "--container", ID])?.output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.contains(&addr.to_string()) && text.contains(&inside.pid().to_string()), "{text}");
    drop(inside);
    drop(outside);
    Ok(())
}
