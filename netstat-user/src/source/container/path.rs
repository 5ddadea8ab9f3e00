//! What the path of a control group tells. The runtimes and systemd have no other contract than these names; each form
//! below is what one of them makes, with its own or with systemd's driver.

use crate::model::{Container, Lodging, Pod, Runtime};

/// Digits of a container id.
const ID: usize = 64;

/// Parts before an id, and who puts them there. Those of monitors (`libpod-conmon-`, `crio-conmon-`) are none.
const PREFIXES: [(&str, Option<Runtime>); 7] = [
    ("docker", Some(Runtime::Docker)),
    ("cri-containerd", Some(Runtime::Containerd)),
    ("containerd", Some(Runtime::Containerd)),
    ("nerdctl", Some(Runtime::Containerd)),
    ("crio", Some(Runtime::CriO)),
    ("libpod", Some(Runtime::Podman)),
    ("podman", Some(Runtime::Podman)),
];

/// The container and the pod that a path is in, the innermost of each; `cgroup` is the path itself.
pub fn lodging(path: &[u8]) -> Lodging {
    let mut lodging = Lodging { cgroup: Some(path.to_vec()), ..Lodging::UNKNOWN };
    let Ok(text) = std::str::from_utf8(path) else { return lodging };
    let mut parent = "";
    for part in text.split('/').filter(|part| !part.is_empty()) {
        // `kubepods-burstable-podUID.slice:cri-containerd:ID`: containerd was told a slice and makes a directory.
        let mut pieces = part.split(':');
        let (slice, prefix, id) = (pieces.next().unwrap_or_default(), pieces.next(), pieces.next());
        if let Some(uid) = pod(slice) {
            lodging.pod = Some(Pod { uid, ..Pod::default() });
            // What is outside of the pod is not its container.
            lodging.container = None;
        }
        let found = match (prefix, id) {
            (Some(prefix), Some(id)) if is_id(id) => Some(Container {
                id: id.to_owned(),
                name: None,
                runtime: PREFIXES.iter().find(|(name, _)| *name == prefix).and_then(|(_, runtime)| *runtime),
            }),
            _ => container(part, parent),
        };
        lodging.container = found.or(lodging.container);
        parent = part;
    }
    lodging
}

/// Whether it is 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn container(part: &str, parent: &str) -> Option<Container> {
    let found = |id: &str, runtime| Some(Container { id: id.to_owned(), name: None, runtime });
    let named = |name: &str, runtime| {
        (!name.is_empty()).then(|| Container {
            id: name.to_owned(),
            name: Some(name.to_owned()),
            runtime: Some(runtime),
        })
    };
    if is_id(part) {
        let of = |runtime| found(part, Some(runtime));
        return match parent {
            "docker" => of(Runtime::Docker),
            "libpod_parent" => of(Runtime::Podman),
            // containerd's namespaces, which begin the path of what has no pod.
            "k8s.io" => of(Runtime::Containerd),
            _ => found(part, None),
        };
    }
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return named(name, Runtime::Lxc);
    }
    if parent == "lxc" {
        return named(part, Runtime::Lxc);
    }
    if parent == "machine.slice" {
        let service = part.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service"));
        let scope = part.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope"));
        // `machine-qemu\x2d...` are virtual machines of libvirt, which registers containers of LXC alike.
        if let Some(name) = service.or(scope).map(unescape).filter(|name| !name.starts_with("qemu-")) {
            return named(&name, Runtime::Nspawn);
        }
    }
    let unit = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, id) = unit.rsplit_once('-')?;
    if !is_id(id) {
        return None;
    }
    let (_, runtime) = PREFIXES.iter().find(|(name, _)| *name == prefix)?;
    found(id, *runtime)
}

/// The uid in `podUID` or `kubepods-burstable-podUID.slice`.
fn pod(part: &str) -> Option<String> {
    let uid = match part.strip_suffix(".slice") {
        Some(slice) => {
            slice.strip_prefix("kubepods").or_else(|| slice.rsplit_once("-kubepods").map(|(_, rest)| rest))?
        }
        None => part,
    };
    let uid = uid.rsplit_once("pod").filter(|(before, _)| before.is_empty() || before.ends_with('-'))?.1;
    // A systemd unit has `_` where the uid has `-`; of a pod that a file describes the uid is 32 digits of a hash.
    let uid = uid.replace('_', "-");
    let lengths: Vec<usize> = uid.split('-').map(str::len).collect();
    let well_formed = lengths == [8, 4, 4, 4, 12] || lengths == [32];
    (well_formed && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')).then_some(uid)
}

/// Undoes systemd's `\x2d` (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").filter(|_| first == b'\\').and_then(|digits| digits.get(..2));
        let value = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The user whose slice the path is in (`user-1000.slice`).
pub fn user(path: &[u8]) -> Option<u32> {
    let mut parts = path.split(|&byte| byte == b'/');
    let slice = parts.find_map(|part| part.strip_prefix(b"user-")?.strip_suffix(b".slice"))?;
    std::str::from_utf8(slice).ok()?.parse().ok()
}

/// The path of a /proc/PID/cgroup (cgroups(7)) that tells most: that of a container, else that of version 2, else the
/// one of a version 1 hierarchy that goes deepest.
pub fn best(text: &[u8]) -> Option<&[u8]> {
    let paths = || {
        text.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut fields = line.splitn(3, |&byte| byte == b':');
            let number = fields.next()?;
            Some((number == b"0", fields.nth(1)?))
        })
    };
    let contained = paths().map(|(_, path)| path).find(|path| {
        let lodging = lodging(path);
        lodging.container.is_some() || lodging.pod.is_some()
    });
    let unified = || paths().find(|(unified, path)| *unified && *path != b"/").map(|(_, path)| path);
    let deepest = || {
        paths().map(|(_, path)| path).max_by_key(|path| {
            path.iter().filter(|&&byte| byte == b'/').count() + usize::from(path.len() > 1)
        })
    };
    contained.or_else(unified).or_else(deepest)
}
