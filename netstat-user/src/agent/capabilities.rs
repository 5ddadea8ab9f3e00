//! `enetstat capabilities`: what this kernel and this privilege allow.

use crate::exit::Outcome;
use crate::kernel::tier::{Feature, Tier};
use crate::kernel::{Choice, caps};
use crate::render::capabilities::{self, Report};
use crate::source::stream::Options;
use anyhow::Context as _;
use std::io::Write;

/// Tries everything, lets go of it, and writes what was found. Complete when state changes can be traced, in the forced
/// tier if there is one.
///
/// # Errors
/// A tier that does not exist, or output that cannot be written.
pub fn run(tier: Option<&str>, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let tier = tier.map(str::parse::<Tier>).transpose()?;
    let report = caps::probe(&Options { tier, ..Options::default() });
    let wanted =
        if matches!(tier, Some(Tier::Netlink | Tier::Procfs)) { Feature::Listing } else { Feature::States };
    let complete = report.features.iter().any(|choice| choice.feature == wanted && choice.tier.is_some());
    let mut text = Vec::new();
    capabilities::text(&mut text, &shown(&report));
    out.write_all(&text).context("cannot write to standard output")?;
    Ok(Outcome { complete })
}

fn shown(report: &caps::Report) -> Report {
    let finding = |finding: &caps::Finding| capabilities::Finding {
        what: finding.what.to_owned(),
        value: finding.value.clone(),
        cure: finding.cure.clone(),
    };
    Report {
        kernel: report.kernel.clone(),
        findings: report.findings.iter().map(finding).collect(),
        features: report.features.iter().map(feature).collect(),
    }
}

fn feature(choice: &Choice) -> capabilities::Feature {
    let refused = choice.refused.iter().map(|refused| {
        let reason = match refused.why.cure() {
            Some(cure) => format!("{} ({cure})", refused.why),
            None => refused.why.to_string(),
        };
        (refused.tier.to_string(), reason)
    });
    capabilities::Feature {
        name: choice.feature.to_string(),
        chosen: choice.tier.map(|tier| tier.to_string()),
        refused: refused.collect(),
    }
}
