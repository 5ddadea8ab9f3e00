use super::path::{best, lodging, user};
use crate::model::Runtime;
use proptest::prelude::*;

const A: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const B: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const UID: &str = "74c13223-5a00-11e9-b385-42010a80018d";
const STATIC: &str = "8d4c1f0f5a2b3c4d5e6f708192a3b4c5";

/// Path (with A, B, UID and _UID_ for themselves), container, runtime, pod.
type Case = (&'static str, Option<&'static str>, Option<Runtime>, Option<&'static str>);

const CASES: [Case; 36] = [
    // Docker, by itself: cgroupfs and systemd drivers; rootless.
    ("/docker/A", Some(A), Some(Runtime::Docker), None),
    ("/system.slice/docker-A.scope", Some(A), Some(Runtime::Docker), None),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-A.scope",
        Some(A),
        Some(Runtime::Docker),
        None,
    ),
    ("/my-parent/A", Some(A), None, None),
    ("/A", Some(A), None, None),
    // What a container makes below its own group.
    ("/system.slice/docker-A.scope/init.scope", Some(A), Some(Runtime::Docker), None),
    ("/docker/A/system.slice/nginx.service", Some(A), Some(Runtime::Docker), None),
    // Docker in docker: the innermost.
    ("/docker/A/docker/B", Some(B), Some(Runtime::Docker), None),
    // Kubernetes by cgroupfs: the path does not say which runtime.
    ("/kubepods/podUID/A", Some(A), None, Some(UID)),
    ("/kubepods/burstable/podUID/A", Some(A), None, Some(UID)),
    ("/kubepods/besteffort/podSTATIC/A", Some(A), None, Some(STATIC)),
    ("/kubepods/besteffort/podUID/crio-A", Some(A), Some(Runtime::CriO), Some(UID)),
    ("/kubepods/besteffort/podUID", None, None, Some(UID)),
    // Kubernetes by systemd.
    ("/kubepods.slice/kubepods-pod_UID_.slice/docker-A.scope", Some(A), Some(Runtime::Docker), Some(UID)),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod_UID_.slice/cri-containerd-A.scope",
        Some(A),
        Some(Runtime::Containerd),
        Some(UID),
    ),
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod_UID_.slice/crio-A.scope",
        Some(A),
        Some(Runtime::CriO),
        Some(UID),
    ),
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod_UID_.slice/crio-A.scope/container",
        Some(A),
        Some(Runtime::CriO),
        Some(UID),
    ),
    (
        "/kubepods.slice/kubepods-podSTATIC.slice/cri-containerd-A.scope",
        Some(A),
        Some(Runtime::Containerd),
        Some(STATIC),
    ),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod_UID_.slice/crio-conmon-A.scope",
        None,
        None,
        Some(UID),
    ),
    // With a parent for all of the kubelet's groups, and containerd that was told a slice but does not use systemd.
    (
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod_UID_.slice/cri-containerd-A.scope",
        Some(A),
        Some(Runtime::Containerd),
        Some(UID),
    ),
    (
        "/system.slice/containerd.service/kubepods-burstable-pod_UID_.slice:cri-containerd:A",
        Some(A),
        Some(Runtime::Containerd),
        Some(UID),
    ),
    // Kubernetes in a docker container (kind), and docker in a pod.
    ("/docker/A/kubelet/kubepods/burstable/podUID/B", Some(B), None, Some(UID)),
    ("/docker/A/kubelet/kubepods/burstable/podUID", None, None, Some(UID)),
    ("/kubepods/podUID/A/docker/B", Some(B), Some(Runtime::Docker), Some(UID)),
    // containerd without Kubernetes.
    ("/system.slice/nerdctl-A.scope", Some(A), Some(Runtime::Containerd), None),
    ("/default/A", Some(A), None, None),
    ("/k8s.io/A", Some(A), Some(Runtime::Containerd), None),
    // Podman: systemd, its split groups, cgroupfs, the monitor, rootless.
    ("/machine.slice/libpod-A.scope", Some(A), Some(Runtime::Podman), None),
    ("/machine.slice/libpod-A.scope/container", Some(A), Some(Runtime::Podman), None),
    ("/libpod_parent/libpod-A", Some(A), Some(Runtime::Podman), None),
    ("/machine.slice/libpod-conmon-A.scope", None, None, None),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_B.slice/libpod-A.scope/container",
        Some(A),
        Some(Runtime::Podman),
        None,
    ),
    // Names instead of ids.
    ("/lxc.payload.web/system.slice/ssh.service", Some("web"), Some(Runtime::Lxc), None),
    ("/machine.slice/machine-my\\x2dbox.scope", Some("my-box"), Some(Runtime::Nspawn), None),
    ("/machine.slice/systemd-nspawn@box.service/payload", Some("box"), Some(Runtime::Nspawn), None),
    ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt", None, None, None),
];

fn path(text: &str) -> String {
    let unit = UID.replace('-', "_");
    let mut path = text.replace("_UID_", &unit).replace("UID", UID).replace("STATIC", STATIC);
    for (short, id) in [("A", A), ("B", B)] {
        for (before, after) in [("/", ""), ("-", ""), (":", ""), ("_", "")] {
            path = path.replace(&format!("{before}{short}{after}"), &format!("{before}{id}{after}"));
        }
    }
    path
}

#[test]
fn every_runtime_is_known_by_its_paths() {
    for (text, container, runtime, pod) in CASES {
        let path = path(text);
        let found = lodging(path.as_bytes());
        assert_eq!(found.container.as_ref().map(|container| container.id.as_str()), container, "{path}");
        assert_eq!(found.container.and_then(|container| container.runtime), runtime, "{path}");
        assert_eq!(found.pod.map(|pod| pod.uid).as_deref(), pod, "{path}");
        assert_eq!(found.cgroup.as_deref(), Some(path.as_bytes()));
    }
}

#[test]
fn what_only_looks_like_it_is_none() {
    for text in [
        "/",
        "/system.slice/docker.service",
        "/system.slice/ssh.service",
        "/user.slice/user-0.slice/session-1.scope",
        "/docker/4f797c53",
        "/docker/4F797C539E6C745DE61A93CA3FF892358ECBCACCD8414D5DB545C38428142970",
        "/podcast.slice",
        "/kubepods/podracer",
        "/init.scope",
    ] {
        let found = lodging(text.as_bytes());
        assert_eq!((found.container, found.pod), (None, None), "{text}");
    }
}

#[test]
fn of_several_hierarchies_the_one_that_tells_most_is_taken() {
    let docker = format!("12:pids:/docker/{A}\n1:name=systemd:/docker/{A}\n0::/\n");
    let hybrid = "4:memory:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n0::/user.slice/user-0.slice/session-1.scope\n";
    for (text, wanted) in [
        (docker.as_str(), Some(format!("/docker/{A}"))),
        (hybrid, Some("/user.slice/user-0.slice/session-1.scope".to_owned())),
        ("4:memory:/batch/7\n1:name=systemd:/\n0::/\n", Some("/batch/7".to_owned())),
        ("0::/\n", Some("/".to_owned())),
        ("0::/a:b\n", Some("/a:b".to_owned())),
        ("", None),
        ("nonsense\n", None),
    ] {
        assert_eq!(best(text.as_bytes()), wanted.as_deref().map(str::as_bytes), "{text}");
    }
    assert_eq!(user(b"/user.slice/user-1000.slice/x"), Some(1000));
    assert_eq!(user(b"/system.slice/user-x.slice"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_path(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(lodging(&bytes).cgroup, Some(bytes.clone()));
        let _ = (best(&bytes), user(&bytes));
    }
}
