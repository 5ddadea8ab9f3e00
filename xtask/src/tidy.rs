//! House rules that no linter knows.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::shell;

/// A longer file wants to be two.
const LINES: usize = 500;

/// Files that may be longer, each with its reason.
const LONG: &[(&str, &str)] = &[];

/// What is looked at: text that somebody wrote.
const ENDINGS: &[&str] = &["rs", "toml", "md", "sh", "yml"];

/// Checks every file under version control.
pub fn tidy(root: &Path) -> anyhow::Result<()> {
    let mut git = std::process::Command::new("git");
    git.args(["-c", "core.quotePath=off", "ls-files", "--cached", "--others", "--exclude-standard"]);
    let files = shell::output(git.current_dir(root)).context("cannot list the files of the checkout")?;
    let mut home = env::var("HOME").unwrap_or_default();
    if home.len() < 2 {
        home.clear();
    }
    let own = [root.display().to_string(), home];
    let mut found = 0;
    for file in files.lines().filter(|file| checked(file)) {
        let path = root.join(file);
        // Removed but not yet committed.
        let Ok(bytes) = fs::read(&path) else { continue };
        let Ok(text) = String::from_utf8(bytes) else {
            complain(&mut found, file, 0, "is not UTF-8");
            continue;
        };
        let lines = text.lines().count();
        if lines > LINES && file.ends_with(".rs") && !LONG.iter().any(|(long, _)| *long == file) {
            complain(&mut found, file, lines, &format!("is over {LINES} lines: look for the seam"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(problem) = problem(line, &own) {
                complain(&mut found, file, number, problem);
            }
        }
    }
    if found > 0 {
        bail!("{found} lines break a house rule");
    }
    Ok(())
}

fn checked(file: &str) -> bool {
    ENDINGS.iter().any(|ending| file.rsplit_once('.').is_some_and(|(_, found)| found == *ending))
        || file.starts_with(".ci/")
}

fn complain(found: &mut u32, file: &str, line: usize, problem: &str) {
    *found += 1;
    shell::say(format_args!("{file}:{line}: {problem}"));
}

/// What is wrong with a line; `own` are paths of the machine at hand.
fn problem(line: &str, own: &[String]) -> Option<&'static str> {
    // Written in two halves, so that this file keeps its own rules.
    let left_undone = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/")];
    if left_undone.iter().any(|word| line.contains(word)) {
        Some("leaves something undone: do it, or open an issue")
    } else if homes.iter().any(|home| line.contains(home))
        || own.iter().any(|path| !path.is_empty() && contains_path(line, path))
    {
        Some("names a path of somebody's machine")
    } else if line.ends_with([' ', '\t']) {
        Some("ends with a space")
    } else {
        None
    }
}

/// Whether `path` stands in the line as a path of its own, not as the beginning of a longer name.
fn contains_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        !before.is_some_and(part_of_name) && after == Some('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_breach_and_nothing_else() {
        let own = ["/srv/enetstat".to_owned()];
        assert!(problem(concat!("// TO", "DO: later"), &own).is_some());
        assert!(problem(concat!("see /ho", "me/ann/x"), &own).is_some());
        assert!(problem("at /srv/enetstat/src", &own).is_some());
        assert!(problem("trailing ", &own).is_some());
        for fine in ["let todo = 1;", "/usr/srv/enetstat/x", "/srv/enetstat2/x", "/proc/self/root", ""] {
            assert_eq!(problem(fine, &own), None, "{fine:?}");
        }
    }
}
