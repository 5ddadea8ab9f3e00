//! What a listing needs to know of the kernel's types.

use super::{EIGHT_BYTES, FILES, TASKS, failed};
use crate::kernel::Refusal;
use crate::kernel::btf::{Btf, BtfError};
use crate::kernel::kept::Kept;
use netstat_common::config::KFUNCS;
use netstat_common::listing::Spots;
use std::path::Path;

/// Stands for an answer that the kernel does not have.
const NONE: u32 = u32::MAX;

/// The answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub spots: Spots,
    /// The number of `bpf_rdonly_cast`.
    pub cast: Option<u32>,
    pub eight_bytes: Option<u32>,
    /// The numbers of the functions of the two iterators.
    pub tasks: Option<u32>,
    pub files: Option<u32>,
}

/// A question about the kernel's types.
enum Question<'a> {
    Field(&'a str, &'a str),
    /// The number of a function.
    Number(&'a str),
    /// That of a structure.
    Structure(&'a str),
}

impl Found {
    /// Asks for everything, or takes what was found out before.
    ///
    /// # Errors
    /// The kernel has no types, or not a field that is needed.
    pub fn here() -> Result<Self, Refusal> {
        let kept = Kept::here();
        let known = kept.as_ref().and_then(Kept::read).and_then(|answers| Self::known(&answers));
        if let Some(known) = known {
            return Ok(known);
        }
        let others = [TASKS.function, FILES.function, KFUNCS[2].0, EIGHT_BYTES];
        let wanted: Vec<&str> = Spots::TYPES.iter().copied().chain(others).collect();
        let types = Btf::read(Path::new("/"), &wanted).map_err(|cause| match cause {
            BtfError::Read { .. } => Refusal::NoBtf(cause),
            other => failed("reading the kernel's types", other),
        })?;
        let mut answers = Vec::new();
        let found = Self::ask(|question| {
            let answer = match question {
                Question::Field(structure, path) => types.offset(structure, path),
                Question::Number(name) => types.number(name),
                Question::Structure(name) => types.structure(name),
            };
            answers.push(answer.unwrap_or(NONE));
            answer
        })?;
        if let Some(kept) = kept {
            kept.write(&answers);
        }
        Ok(found)
    }

    /// From what was kept; `None` when that are other answers.
    fn known(answers: &[u32]) -> Option<Self> {
        let mut answers = answers.iter();
        let mut all = true;
        let found = Self::ask(|_| {
            let answer = answers.next().copied();
            all &= answer.is_some();
            answer.filter(|&answer| answer != NONE)
        });
        found.ok().filter(|_| all && answers.len() == 0)
    }

    /// Always asks the same, in the same order.
    fn ask(mut answer: impl FnMut(Question<'_>) -> Option<u32>) -> Result<Self, Refusal> {
        Ok(Self {
            spots: Spots::resolve(|structure, path| answer(Question::Field(structure, path)))
                .map_err(|(structure, path)| Refusal::NoHook(format!("field {structure}.{path}")))?,
            cast: answer(Question::Number(KFUNCS[2].0)),
            eight_bytes: answer(Question::Structure(EIGHT_BYTES)),
            tasks: answer(Question::Number(TASKS.function)),
            files: answer(Question::Number(FILES.function)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_what_was_found() {
        let mut answers = Vec::new();
        let found = Found::ask(|question| {
            let absent = matches!(question, Question::Structure(_));
            let answer = (!absent).then_some(answers.len() as u32 * 8);
            answers.push(answer.unwrap_or(NONE));
            answer
        });
        let found = found.expect("every field is there");
        assert_eq!((found.eight_bytes, Found::known(&answers)), (None, Some(found)));
        let (last, fewer) = answers.split_last().expect("there are some");
        assert_eq!(Found::known(fewer), None);
        assert_eq!(Found::known(&[answers.as_slice(), &[*last]].concat()), None);
        assert_eq!(Found::known(&[NONE; 64]), None);
    }
}
