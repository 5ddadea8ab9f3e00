//! What runtimes call their containers, from the files they keep; docker is also asked by its socket. Nothing here uses
//! the network.

use super::http;
use crate::model::{Container, Pod, Runtime};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A description of a container is a few kilobytes; of all of a host's a few megabytes.
const MOST: u64 = 64 << 20;
/// How long docker may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// Where the state of containerd's containers may be: its own, k3s's, and MicroK8s's.
const CONTAINERD: [&str; 3] =
    ["run/containerd", "run/k3s/containerd", "var/snap/microk8s/common/run/containerd"];
const CONTAINERD_TASKS: &str = "io.containerd.runtime.v2.task";
const DOCKER: &str = "var/lib/docker/containers";
const DOCKER_SOCKETS: [&str; 2] = ["run/docker.sock", "var/run/docker.sock"];
/// Of Podman and CRI-O, by containers/storage.
const STORAGE: [&str; 2] = ["var/lib/containers/storage", "run/containers/storage"];
const STORAGE_FILES: [&str; 2] = ["containers.json", "volatile-containers.json"];
/// The kubelet's.
const LINKS: &str = "var/log/containers";
const PODS: &str = "var/log/pods";

/// The files below a root.
#[derive(Debug)]
pub struct Names {
    root: PathBuf,
}

impl Names {
    pub fn of_host() -> Self {
        Self::at("/")
    }

    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Completes what the path of a control group told of a container and its pod. `home` is of the user whose container
    /// it is, when it is not root's.
    pub fn complete(&self, container: &mut Container, pod: &mut Option<Pod>, home: Option<&Path>) {
        let id = container.id.clone();
        if !is_safe(&id) {
            return;
        }
        let found = match container.runtime {
            Some(Runtime::Docker) => self.docker(&id, home),
            Some(Runtime::Containerd) => self.containerd(&id),
            Some(Runtime::CriO | Runtime::Podman) => self.storage(&id, home),
            Some(Runtime::Lxc | Runtime::Nspawn) => None,
            None => {
                self.containerd(&id).or_else(|| self.docker(&id, home)).or_else(|| self.storage(&id, home))
            }
        };
        let found = found.unwrap_or_default();
        container.name = container.name.take().or(found.name);
        container.runtime = container.runtime.or(found.runtime);
        let told = found.pod.or_else(|| self.kubelet(&id));
        match (pod.as_mut(), told) {
            (Some(pod), Some(told)) => {
                pod.name = pod.name.take().or(told.name);
                pod.namespace = pod.namespace.take().or(told.namespace);
                pod.container = pod.container.take().or(told.container);
            }
            (None, Some(told)) if !told.uid.is_empty() => *pod = Some(told),
            _ => {}
        }
        if let Some(pod) = pod {
            self.complete_pod(pod);
        }
    }

    /// Completes what the path told of a pod: its directory of logs is `namespace_name_uid`.
    pub fn complete_pod(&self, pod: &mut Pod) {
        if pod.name.is_some() && pod.namespace.is_some() {
            return;
        }
        let dirs = entries(&self.root.join(PODS));
        let found = dirs.iter().find_map(|dir| {
            let (namespace, name) = dir.strip_suffix(&pod.uid)?.strip_suffix('_')?.split_once('_')?;
            Some((namespace.to_owned(), name.to_owned()))
        });
        if let Some((namespace, name)) = found {
            pod.namespace.get_or_insert(namespace);
            pod.name.get_or_insert(name);
        }
    }

    fn docker(&self, id: &str, home: Option<&Path>) -> Option<Found> {
        let own = home.map(|home| self.below(home).join(".local/share/docker/containers"));
        let dirs = [self.root.join(DOCKER)].into_iter().chain(own);
        let read = dirs.into_iter().find_map(|dir| json(&dir.join(id).join("config.v2.json")));
        let described = read.or_else(|| {
            let mut sockets = DOCKER_SOCKETS.iter().map(|socket| self.root.join(socket));
            let body = sockets
                .find_map(|socket| http::get(&socket, &format!("/containers/{id}/json"), PATIENCE).ok())?;
            serde_json::from_slice(&body).ok()
        })?;
        let name = text(&described["Name"])?;
        let labels = &described["Config"]["Labels"];
        let pod = pod(
            labels,
            [
                "io.kubernetes.pod.uid",
                "io.kubernetes.pod.name",
                "io.kubernetes.pod.namespace",
                "io.kubernetes.container.name",
            ],
        );
        let name = name.strip_prefix('/').unwrap_or(&name).to_owned();
        Some(Found { name: Some(name), runtime: Some(Runtime::Docker), pod })
    }

    /// The bundle of each container has its specification (OCI Runtime Specification, `config.json`), in which the CRI
    /// plugin and nerdctl leave annotations.
    fn containerd(&self, id: &str) -> Option<Found> {
        let tasks = CONTAINERD.iter().map(|dir| self.root.join(dir).join(CONTAINERD_TASKS));
        let (space, spec) = tasks.into_iter().find_map(|tasks| {
            entries(&tasks).into_iter().find_map(|space| {
                let spec = json(&tasks.join(&space).join(id).join("config.json"))?;
                Some((space, spec))
            })
        })?;
        if space == "moby" {
            // Docker's own.
            return None;
        }
        let notes = &spec["annotations"];
        let pod = pod(
            notes,
            [
                "io.kubernetes.cri.sandbox-uid",
                "io.kubernetes.cri.sandbox-name",
                "io.kubernetes.cri.sandbox-namespace",
                "io.kubernetes.cri.container-name",
            ],
        );
        let name = text(&notes["nerdctl/name"]).or_else(|| text(&notes["io.kubernetes.cri.container-name"]));
        Some(Found { name, runtime: Some(Runtime::Containerd), pod })
    }

    fn storage(&self, id: &str, home: Option<&Path>) -> Option<Found> {
        let own = home.map(|home| self.below(home).join(".local/share/containers/storage"));
        let stores = STORAGE.iter().map(|dir| self.root.join(dir)).chain(own);
        // `overlay-containers`, `vfs-containers`: by the driver of images.
        let dirs = stores.flat_map(|store| {
            let drivers = entries(&store).into_iter().filter(|entry| entry.ends_with("-containers"));
            drivers.map(move |entry| store.join(entry)).collect::<Vec<_>>()
        });
        dirs.into_iter().find_map(|dir| {
            let found = STORAGE_FILES.iter().find_map(|file| {
                let list = json(&dir.join(file))?;
                list.as_array()?.iter().find(|entry| entry["id"] == *id).cloned()
            })?;
            let name = text(&found["names"][0]);
            let spec = json(&dir.join(id).join("userdata/config.json")).unwrap_or_default();
            let noted = pod(
                &spec["annotations"],
                [
                    "io.kubernetes.pod.uid",
                    "io.kubernetes.pod.name",
                    "io.kubernetes.pod.namespace",
                    "io.kubernetes.container.name",
                ],
            );
            let pod = noted.or_else(|| name.as_deref().and_then(kubernetes_name));
            let runtime = if pod.is_some() { Runtime::CriO } else { Runtime::Podman };
            Some(Found { name, runtime: Some(runtime), pod })
        })
    }

    /// Links to logs are called `pod_namespace_container-ID.log`.
    fn kubelet(&self, id: &str) -> Option<Pod> {
        let suffix = format!("-{id}.log");
        entries(&self.root.join(LINKS)).iter().find_map(|link| {
            let mut parts = link.strip_suffix(&suffix)?.splitn(3, '_').map(str::to_owned);
            let (name, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
            let (name, namespace, container) = (Some(name), Some(namespace), Some(container));
            Some(Pod { uid: String::new(), name, namespace, container })
        })
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// What a runtime tells.
#[derive(Debug, Default)]
struct Found {
    name: Option<String>,
    runtime: Option<Runtime>,
    pod: Option<Pod>,
}

/// Ids become parts of paths.
fn is_safe(id: &str) -> bool {
    !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A pod by these keys: uid, name, namespace, container.
fn pod(notes: &Value, keys: [&str; 4]) -> Option<Pod> {
    let [uid, name, namespace, container] = keys.map(|key| text(&notes[key]));
    Some(Pod { uid: uid?, name, namespace, container })
}

/// `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`: none of the parts may hold a `_`.
fn kubernetes_name(name: &str) -> Option<Pod> {
    let mut parts = name.strip_prefix("k8s_")?.split('_').map(str::to_owned);
    let (container, name, namespace, uid) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Pod { uid, name: Some(name), namespace: Some(namespace), container: Some(container) })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A file that cannot be read, or is not what it should be, tells nothing.
fn json(path: &Path) -> Option<Value> {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > MOST {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Names in a directory that are UTF-8, sorted; none when it cannot be read.
fn entries(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}
