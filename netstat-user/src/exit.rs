//! From the outcome of a run to its exit code.

use std::io;

/// What was shown is right; is it all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// No source refused.
    pub complete: bool,
}

/// All was shown.
pub const OK: u8 = 0;
/// Something was shown, but some source refused.
pub const INCOMPLETE: u8 = 1;
/// It could not be done, or the command line makes no sense.
pub const FAILED: u8 = 2;

/// The exit code of a run, and the error to tell, if any. A reader that has seen enough (`enetstat | head`) is a success.
pub fn judge(result: anyhow::Result<Outcome>) -> (u8, Option<anyhow::Error>) {
    match result {
        Ok(Outcome { complete: true }) => (OK, None),
        Ok(Outcome { complete: false }) => (INCOMPLETE, None),
        Err(error) if is_broken_pipe(&error) => (OK, None),
        Err(error) => (FAILED, Some(error)),
    }
}

/// Whether the output's reader went away.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.map(io::Error::kind).any(|kind| kind == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_closed_pipe_is_a_success_and_a_full_disk_is_not() {
        let pipe = Err(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert!(matches!(judge(pipe), (OK, None)));
        let disk = Err(io::Error::from(io::ErrorKind::StorageFull)).context("writing");
        assert!(matches!(judge(disk), (FAILED, Some(_))));
        assert!(matches!(judge(Ok(Outcome { complete: false })), (INCOMPLETE, None)));
    }
}
