//! The text of `enetstat capabilities`.

use super::text::{escaped, left};

/// What was found out about kernel and privilege.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Release of the running kernel.
    pub kernel: String,
    pub findings: Vec<Finding>,
    pub features: Vec<Feature>,
}

/// One circumstance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub value: String,
    /// What a user can do about it; `None` when nothing needs to be done.
    pub cure: Option<String>,
}

/// One thing the program does, and how it can do it here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    /// The tier that works; `None` when all were refused.
    pub chosen: Option<String>,
    /// Better tiers that were refused, with the reason and, where there is one, the cure.
    pub refused: Vec<(String, String)>,
}

/// Appends the report: circumstances first, then each feature with its tier and, below it, each refusal.
pub fn text(out: &mut Vec<u8>, report: &Report) {
    let names = report.findings.iter().map(|finding| finding.what.len());
    let names = names.chain(report.features.iter().map(|feature| feature.name.len()));
    let width = names.max().unwrap_or(0).max("kernel".len()) + 2;
    line(out, width, "kernel", &report.kernel);
    for finding in &report.findings {
        line(out, width, &finding.what, &finding.value);
        if let Some(cure) = &finding.cure {
            below(out, width, &["cure: ", cure]);
        }
    }
    out.push(b'\n');
    for feature in &report.features {
        line(out, width, &feature.name, feature.chosen.as_deref().unwrap_or("none"));
        for (tier, reason) in &feature.refused {
            below(out, width, &["not ", tier, ": ", reason]);
        }
    }
}

fn line(out: &mut Vec<u8>, width: usize, name: &str, value: &str) {
    let start = out.len();
    escaped(out, name.as_bytes());
    left(out, start, width);
    escaped(out, value.as_bytes());
    out.push(b'\n');
}

/// A line under the values; further lines of the text are indented alike.
fn below(out: &mut Vec<u8>, width: usize, parts: &[&str]) {
    for (at, part) in parts.concat().lines().enumerate() {
        let start = out.len();
        left(out, start, if at == 0 { width + 2 } else { width + 4 });
        escaped(out, part.as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_stand_under_their_feature() {
        let report = Report {
            kernel: "6.1.0".into(),
            findings: vec![Finding {
                what: "BTF".into(),
                value: "no".into(),
                cure: Some("boot another kernel".into()),
            }],
            features: vec![Feature {
                name: "states".into(),
                chosen: Some("tracepoint".into()),
                refused: vec![("tp_btf".into(), "no BTF\nsecond line".into())],
            }],
        };
        let mut out = Vec::new();
        text(&mut out, &report);
        let wanted = "\
kernel  6.1.0
BTF     no
          cure: boot another kernel

states  tracepoint
          not tp_btf: no BTF
            second line
";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
