//! Where sockets live: control groups, containers, pods.

/// What made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    Docker,
    Containerd,
    CriO,
    Podman,
    Lxc,
    Nspawn,
}

impl Runtime {
    /// Its name, as OpenTelemetry's `container.runtime.name` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
            Self::Nspawn => "systemd-nspawn",
        }
    }
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits; of LXC and systemd-nspawn its name.
    pub id: String,
    /// The name its user gave it, or its runtime.
    pub name: Option<String>,
    /// `None`: the path of the control group does not tell, and no runtime knows the id.
    pub runtime: Option<Runtime>,
}

/// A pod of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub uid: String,
    pub name: Option<String>,
    /// Its namespace in Kubernetes.
    pub namespace: Option<String>,
    /// Name of the container in the pod's specification.
    pub container: Option<String>,
}

/// Where a socket lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lodging {
    /// Path of the control group below the root of its hierarchy, `/` alone for the root; any bytes.
    pub cgroup: Option<Vec<u8>>,
    pub container: Option<Container>,
    pub pod: Option<Pod>,
}

impl Lodging {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { cgroup: None, container: None, pod: None };

    /// One word for the container: its name, or how its id begins; of a pod the name of the container there. Empty when
    /// there is none.
    pub fn container_word(&self) -> &str {
        let in_pod = self.pod.as_ref().and_then(|pod| pod.container.as_deref());
        let Some(container) = &self.container else { return in_pod.unwrap_or_default() };
        let begins = container.id.get(..12).unwrap_or(&container.id);
        in_pod.or(container.name.as_deref()).unwrap_or(begins)
    }

    /// One word for the pod: `namespace/name`, or its uid. Empty when there is none.
    pub fn pod_word(&self) -> String {
        match &self.pod {
            Some(Pod { name: Some(name), namespace: Some(namespace), .. }) => format!("{namespace}/{name}"),
            Some(Pod { name: Some(name), .. }) => name.clone(),
            Some(pod) => pod.uid.clone(),
            None => String::new(),
        }
    }
}
