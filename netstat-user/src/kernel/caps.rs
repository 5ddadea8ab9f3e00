//! What this kernel and this privilege allow, asked by trying.

use super::{Choice, Feature, Refusal, Refused, Tier, btf::Btf, format};
use crate::source::stream::{Options, Queues, Stream, StreamError};
use std::path::Path;

/// One thing found out about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    pub value: String,
    /// What would make it better.
    pub cure: Option<String>,
}

/// What [`probe`] found.
#[derive(Debug)]
pub struct Report {
    /// Release of the running kernel.
    pub kernel: String,
    pub findings: Vec<Finding>,
    /// One for each feature, in the order of [`Feature::ALL`].
    pub features: Vec<Choice>,
}

/// The capabilities that tracing needs, with their numbers (include/uapi/linux/capability.h, 6.12). `CAP_SYS_ADMIN`
/// includes the first two.
const NEEDED: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_NET_ADMIN", 12)];
const SYS_ADMIN: u32 = 21;

/// Loads and attaches what `options` ask for, queues and owners included, and lets go of it.
pub fn probe(options: &Options) -> Report {
    let root = Path::new("/");
    let mut findings = vec![capabilities(effective(root)), types(root), tracefs(root)];
    if let Some(mode) = lockdown(root) {
        let cure = (mode == "confidentiality").then(|| "boot without lockdown=confidentiality".to_owned());
        findings.push(Finding { what: "lockdown", value: mode, cure });
    }
    let options = Options { owners: true, ..options.clone() };
    let mut features = match try_all(&options) {
        Ok((features, counts_unseen)) => {
            if counts_unseen {
                let value =
                    "perhaps hidden from programs; what happens while it runs is counted, and said as lost";
                findings.push(Finding { what: "process 1", value: value.to_owned(), cure: None });
            }
            features
        }
        Err(StreamError::NoTier { choices }) => choices,
        Err(error) => {
            findings.push(Finding { what: "tracing", value: error.to_string(), cure: error.cure() });
            Feature::EVENTS.map(|feature| Choice { feature, tier: None, refused: Vec::new() }).into()
        }
    };
    features.push(listing(options.tier));
    features.sort_by_key(|choice| Feature::ALL.iter().position(|&feature| feature == choice.feature));
    Report { kernel: release(), findings, features }
}

/// Tries with queue changes; a forced tier that has none is tried without, as a trace that does not ask for them would. Also
/// whether [events are counted](Stream::counts_unseen) that no program is run for.
fn try_all(options: &Options) -> Result<(Vec<Choice>, bool), StreamError> {
    let with_queues = Options { queues: Queues::Coalesced, ..options.clone() };
    match Stream::start(&with_queues) {
        Err(StreamError::Forced { tier, feature: Feature::Queues, why }) => {
            let without = Options { queues: Queues::Off, ..options.clone() };
            let stream = Stream::start(&without)?;
            let counts_unseen = stream.counts_unseen();
            let mut features = stream.into_choices();
            if let Some(queues) = features.iter_mut().find(|choice| choice.feature == Feature::Queues) {
                queues.refused.push(Refused { tier, why });
            }
            Ok((features, counts_unseen))
        }
        other => other.map(|stream| {
            let counts_unseen = stream.counts_unseen();
            (stream.into_choices(), counts_unseen)
        }),
    }
}

/// The capabilities that tracing needs and this process has not.
pub fn missing() -> Vec<&'static str> {
    let Some(effective) = effective(Path::new("/")) else { return Vec::new() };
    let has = |bit: u32| effective >> bit & 1 == 1;
    let granted = |name, bit| has(bit) || (name != "CAP_NET_ADMIN" && has(SYS_ADMIN));
    NEEDED.into_iter().filter(|&(name, bit)| !granted(name, bit)).map(|(name, _)| name).collect()
}

/// The mode of the lockdown, if the kernel has that module (`[none] integrity confidentiality`).
pub fn lockdown(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("sys/kernel/security/lockdown")).ok()?;
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(mode, _)| mode.to_owned())
}

/// Release of the running kernel.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn effective(root: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(root.join("proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn capabilities(effective: Option<u64>) -> Finding {
    let missing = missing();
    let value = match effective {
        None => "unknown: /proc/self/status cannot be read".to_owned(),
        Some(_) if missing.is_empty() => "sufficient".to_owned(),
        Some(_) => format!("{} missing", missing.join(", ")),
    };
    let cure = (!missing.is_empty()).then(|| super::refusal::GRANT.to_owned());
    Finding { what: "capabilities", value, cure }
}

fn types(root: &Path) -> Finding {
    match Btf::read(root, &[]) {
        Ok(btf) => {
            Finding { what: "kernel types", value: format!("BTF, {} bytes", btf.data().len()), cure: None }
        }
        Err(error) => {
            let value = error.to_string();
            Finding { what: "kernel types", value, cure: Refusal::NoBtf(error).cure() }
        }
    }
}

fn tracefs(root: &Path) -> Finding {
    match format::tracefs(root) {
        Some(path) => Finding { what: "tracefs", value: path.display().to_string(), cure: None },
        None => Finding {
            what: "tracefs",
            value: "not mounted; mounted privately when needed".to_owned(),
            cure: Refusal::NoTracefs { cause: None }.cure(),
        },
    }
}

fn listing(forced: Option<Tier>) -> Choice {
    let mut refused = Vec::new();
    for &tier in Feature::Listing.ladder(forced) {
        let tried = match tier {
            Tier::Netlink => rustix::net::socket(
                rustix::net::AddressFamily::NETLINK,
                rustix::net::SocketType::RAW,
                Some(rustix::net::netlink::SOCK_DIAG),
            )
            .map(drop)
            .map_err(|cause| ("opening a NETLINK_SOCK_DIAG socket", cause.to_string())),
            _ => std::fs::File::open("/proc/net/tcp")
                .map(drop)
                .map_err(|cause| ("opening /proc/net/tcp", cause.to_string())),
        };
        match tried {
            Ok(()) => return Choice { feature: Feature::Listing, tier: Some(tier), refused },
            Err((operation, cause)) => {
                refused.push(Refused { tier, why: Refusal::Failed { operation, cause } })
            }
        }
    }
    Choice { feature: Feature::Listing, tier: None, refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_is_the_one_in_force() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(lockdown(root.path()), None);
        std::fs::create_dir_all(root.path().join("sys/kernel/security")).unwrap();
        std::fs::write(
            root.path().join("sys/kernel/security/lockdown"),
            "none [integrity] confidentiality\n",
        )
        .unwrap();
        assert_eq!(lockdown(root.path()).as_deref(), Some("integrity"));
    }
}
