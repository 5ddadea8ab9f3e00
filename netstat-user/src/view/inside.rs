//! Which containers, pods and control groups are wanted.

use crate::model::{Container, Lodging, Pod};

/// Characters of an id that name a container, as runtimes take them for enough.
const ENOUGH: usize = 4;

/// Where a socket must live to be shown. An empty list asks nothing; what is listed is alternatives; every list must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Names of containers, to their runtime or in their pod, or how their ids begin.
    pub containers: Vec<String>,
    /// Pods: `name`, `namespace/name`, or a uid.
    pub pods: Vec<String>,
    /// Paths of control groups: those and what is below them.
    pub cgroups: Vec<String>,
}

impl Inside {
    /// Whether everything is wanted.
    pub fn is_empty(&self) -> bool {
        let Self { containers, pods, cgroups } = self;
        containers.is_empty() && pods.is_empty() && cgroups.is_empty()
    }

    /// Whether what lives there is shown.
    pub fn wants(&self, lodging: &Lodging) -> bool {
        let Lodging { cgroup, container, pod } = lodging;
        let any = |words: &[String], holds: &dyn Fn(&str) -> bool| {
            words.is_empty() || words.iter().any(|word| holds(word))
        };
        any(&self.containers, &|word| is_container(container.as_ref(), pod.as_ref(), word))
            && any(&self.pods, &|word| pod.as_ref().is_some_and(|pod| is_pod(pod, word)))
            && any(&self.cgroups, &|word| cgroup.as_ref().is_some_and(|path| is_below(path, word.as_bytes())))
    }
}

fn is_container(container: Option<&Container>, pod: Option<&Pod>, word: &str) -> bool {
    let named = container.is_some_and(|container| {
        container.name.as_deref() == Some(word)
            || container.id == word
            || (word.len() >= ENOUGH && container.id.starts_with(word))
    });
    named || pod.is_some_and(|pod| pod.container.as_deref() == Some(word))
}

fn is_pod(pod: &Pod, word: &str) -> bool {
    let qualified = word.split_once('/').is_some_and(|(namespace, name)| {
        pod.namespace.as_deref() == Some(namespace) && pod.name.as_deref() == Some(name)
    });
    qualified || pod.name.as_deref() == Some(word) || pod.uid == word
}

/// Whether `path` is `top` or below it. `top` may begin with where the hierarchy is mounted, and end with a `/`.
fn is_below(path: &[u8], top: &[u8]) -> bool {
    let mounts: [&[u8]; 3] = [b"/sys/fs/cgroup/unified", b"/sys/fs/cgroup", b""];
    mounts.into_iter().filter_map(|mount| top.strip_prefix(mount)).any(|top| {
        let top = top.strip_suffix(b"/").unwrap_or(top);
        let top = top.strip_prefix(b"/").unwrap_or(top);
        let path = path.strip_prefix(b"/").unwrap_or(path);
        top.is_empty() || path.strip_prefix(top).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Runtime;

    fn lodging() -> Lodging {
        Lodging {
            cgroup: Some(b"/kubepods/pod1/4f797c539e6c".to_vec()),
            container: Some(Container {
                id: "4f797c539e6c".to_owned(),
                name: Some("k8s_nginx_web".to_owned()),
                runtime: Some(Runtime::Docker),
            }),
            pod: Some(Pod {
                uid: "74c13223-5a00-11e9-b385-42010a80018d".to_owned(),
                name: Some("web-7d4".to_owned()),
                namespace: Some("shop".to_owned()),
                container: Some("nginx".to_owned()),
            }),
        }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn containers_go_by_names_and_ids() {
        for (word, wanted) in [
            ("nginx", true),
            ("k8s_nginx_web", true),
            ("4f797c539e6c", true),
            ("4f79", true),
            ("4f7", false),
            ("ngin", false),
            ("", false),
        ] {
            let inside = Inside { containers: words(&[word]), ..Inside::default() };
            assert_eq!(inside.wants(&lodging()), wanted, "{word}");
            assert!(!inside.wants(&Lodging::UNKNOWN), "{word}");
        }
    }

    #[test]
    fn pods_go_by_names_and_uids() {
        for (word, wanted) in [
            ("web-7d4", true),
            ("shop/web-7d4", true),
            ("74c13223-5a00-11e9-b385-42010a80018d", true),
            ("shop", false),
            ("other/web-7d4", false),
        ] {
            let inside = Inside { pods: words(&["none", word]), ..Inside::default() };
            assert_eq!(inside.wants(&lodging()), wanted, "{word}");
        }
    }

    #[test]
    fn groups_hold_what_is_below_them() {
        for (word, wanted) in [
            ("/kubepods", true),
            ("kubepods/", true),
            ("/sys/fs/cgroup/kubepods/pod1", true),
            ("/sys/fs/cgroup/unified/kubepods/pod1/4f797c539e6c/", true),
            ("/", true),
            ("/kube", false),
            ("/kubepods/pod2", false),
        ] {
            let inside = Inside { cgroups: words(&[word]), ..Inside::default() };
            assert_eq!(inside.wants(&lodging()), wanted, "{word}");
        }
        assert!(Inside::default().is_empty() && Inside::default().wants(&Lodging::UNKNOWN));
        let both = Inside { containers: words(&["nginx"]), pods: words(&["none"]), ..Inside::default() };
        assert!(!both.is_empty() && !both.wants(&lodging()));
    }
}
