//! Files laid out as the runtimes do. Docker's daemon is played by a thread: only the asking is tested by that.

use super::names::Names;
use crate::model::{Container, Pod, Runtime};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const UID: &str = "74c13223-5a00-11e9-b385-42010a80018d";

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What becomes of a container of this runtime, without and with a pod known by its uid.
fn complete(
    root: &Path,
    runtime: Option<Runtime>,
    in_pod: bool,
    home: Option<&Path>,
) -> (Container, Option<Pod>) {
    let mut container = Container { id: ID.to_owned(), name: None, runtime };
    let mut pod = in_pod.then(|| Pod { uid: UID.to_owned(), ..Pod::default() });
    Names::at(root).complete(&mut container, &mut pod, home);
    (container, pod)
}

fn whole_pod() -> Option<Pod> {
    let word = |word: &str| Some(word.to_owned());
    Some(Pod {
        uid: UID.to_owned(),
        name: word("web-7d4"),
        namespace: word("shop"),
        container: word("nginx"),
    })
}

#[test]
fn docker_keeps_a_file_for_each_container() {
    let root = tempfile::tempdir().unwrap();
    let text = r#"{"ID":"ID","Name":"/web","Config":{"Hostname":"x","Labels":{}}}"#;
    put(root.path(), &format!("var/lib/docker/containers/{ID}/config.v2.json"), text);
    for runtime in [Some(Runtime::Docker), None] {
        let (container, pod) = complete(root.path(), runtime, false, None);
        assert_eq!(
            (container.name.as_deref(), container.runtime, pod),
            (Some("web"), Some(Runtime::Docker), None)
        );
    }
    let rootless = tempfile::tempdir().unwrap();
    put(rootless.path(), &format!("u/ann/.local/share/docker/containers/{ID}/config.v2.json"), text);
    let (container, _) = complete(rootless.path(), Some(Runtime::Docker), false, Some(Path::new("/u/ann")));
    assert_eq!(container.name.as_deref(), Some("web"));
}

#[test]
fn docker_is_asked_where_there_is_no_file() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("run")).unwrap();
    let listener = UnixListener::bind(root.path().join("run/docker.sock")).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 512];
        let length = stream.read(&mut asked).unwrap();
        let body = format!(
            "{{\"Name\":\"/k8s_nginx\",\"Config\":{{\"Labels\":{{\"io.kubernetes.pod.uid\":\"{UID}\",\
             \"io.kubernetes.pod.name\":\"web-7d4\",\"io.kubernetes.pod.namespace\":\"shop\",\
             \"io.kubernetes.container.name\":\"nginx\"}}}}}}"
        );
        write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    let (container, pod) = complete(root.path(), Some(Runtime::Docker), true, None);
    let asked = daemon.join().unwrap();
    assert!(asked.starts_with(&format!("GET /containers/{ID}/json HTTP/1.0\r\n")), "{asked}");
    assert_eq!(container.name.as_deref(), Some("k8s_nginx"));
    assert_eq!(pod, whole_pod());
}

#[test]
fn a_daemon_that_does_not_answer_is_not_waited_for() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("run")).unwrap();
    let _listener = UnixListener::bind(root.path().join("run/docker.sock")).unwrap();
    let (container, _) = complete(root.path(), Some(Runtime::Docker), false, None);
    assert_eq!(container.name, None);
}

#[test]
fn containerd_keeps_a_specification_for_each_container() {
    let spec = format!(
        r#"{{"ociVersion":"1.1.0","annotations":{{"io.kubernetes.cri.container-type":"container",
        "io.kubernetes.cri.container-name":"nginx","io.kubernetes.cri.sandbox-name":"web-7d4",
        "io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-uid":"{UID}"}}}}"#
    );
    for dir in ["run/containerd", "run/k3s/containerd"] {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), &format!("{dir}/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"), &spec);
        for runtime in [Some(Runtime::Containerd), None] {
            let (container, pod) = complete(root.path(), runtime, true, None);
            assert_eq!(container.runtime, Some(Runtime::Containerd));
            assert_eq!((container.name.as_deref(), pod), (Some("nginx"), whole_pod()));
        }
    }
    let root = tempfile::tempdir().unwrap();
    let spec = r#"{"annotations":{"nerdctl/name":"web","nerdctl/namespace":"default"}}"#;
    put(root.path(), &format!("run/containerd/io.containerd.runtime.v2.task/default/{ID}/config.json"), spec);
    let (container, pod) = complete(root.path(), None, false, None);
    assert_eq!(
        (container.name.as_deref(), container.runtime, pod),
        (Some("web"), Some(Runtime::Containerd), None)
    );
}

#[test]
fn podman_and_cri_o_keep_a_list() {
    let list = |name: &str| {
        format!(r#"[{{"id":"00","names":["other"]}},{{"id":"{ID}","names":["{name}"],"image":"x"}}]"#)
    };
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "var/lib/containers/storage/overlay-containers/containers.json", &list("web"));
    let (container, pod) = complete(root.path(), Some(Runtime::Podman), false, None);
    assert_eq!((container.name.as_deref(), pod), (Some("web"), None));

    let rootless = tempfile::tempdir().unwrap();
    let file = "u/ann/.local/share/containers/storage/vfs-containers/volatile-containers.json";
    put(rootless.path(), file, &list("web"));
    let (container, _) = complete(rootless.path(), Some(Runtime::Podman), false, Some(Path::new("/u/ann")));
    assert_eq!(container.name.as_deref(), Some("web"));

    let root = tempfile::tempdir().unwrap();
    let name = format!("k8s_nginx_web-7d4_shop_{UID}_0");
    put(root.path(), "var/lib/containers/storage/overlay-containers/containers.json", &list(&name));
    for runtime in [Some(Runtime::CriO), None] {
        let (container, pod) = complete(root.path(), runtime, true, None);
        assert_eq!(container.runtime, Some(Runtime::CriO));
        assert_eq!((container.name, pod), (Some(name.clone()), whole_pod()));
    }
}

#[test]
fn the_kubelet_names_logs_after_pods() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), &format!("var/log/containers/web-7d4_shop_nginx-{ID}.log"), "");
    let (_, pod) = complete(root.path(), Some(Runtime::Containerd), true, None);
    assert_eq!(pod, whole_pod());

    let root = tempfile::tempdir().unwrap();
    put(root.path(), &format!("var/log/pods/shop_web-7d4_{UID}/nginx/0.log"), "");
    let (_, pod) = complete(root.path(), None, true, None);
    let pod = pod.unwrap();
    assert_eq!((pod.name.as_deref(), pod.namespace.as_deref()), (Some("web-7d4"), Some("shop")));
}

#[test]
fn damaged_files_tell_nothing() {
    let root = tempfile::tempdir().unwrap();
    for text in ["", "{", "[]", "null", "{\"Name\":7}", "{\"annotations\":[]}"] {
        put(root.path(), &format!("var/lib/docker/containers/{ID}/config.v2.json"), text);
        put(
            root.path(),
            &format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"),
            text,
        );
        put(root.path(), "var/lib/containers/storage/overlay-containers/containers.json", text);
        let (container, pod) = complete(root.path(), Some(Runtime::Docker), true, None);
        assert_eq!((container.name, pod.unwrap().name), (None, None), "{text}");
        let (container, _) = complete(root.path(), Some(Runtime::CriO), false, None);
        assert_eq!(container.name, None, "{text}");
    }
    // An id that is a path is none.
    let mut container = Container { id: "../../etc".to_owned(), ..Container::default() };
    Names::at(root.path()).complete(&mut container, &mut None, None);
    assert_eq!(container.name, None);
}
