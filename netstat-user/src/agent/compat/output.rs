//! Standard output as C's stdio has it, so that its lines fall between those of standard error as the original's do.

use std::io::Write;

/// Bytes that glibc gathers for a pipe or a file.
const BLOCK: usize = 4096;

/// Append to `buf`, then call [`Output::done`].
pub struct Output<'a> {
    out: &'a mut dyn Write,
    /// A terminal gets each line at once.
    pub terminal: bool,
    pub buf: Vec<u8>,
}

impl<'a> Output<'a> {
    pub fn new(out: &'a mut dyn Write, terminal: bool) -> Self {
        Self { out, terminal, buf: Vec::with_capacity(2 * BLOCK) }
    }

    /// Writes what stdio would have written by now.
    pub fn done(&mut self) {
        let ready =
            if self.terminal { self.buf.len() } else { self.buf.len().saturating_sub(1) / BLOCK * BLOCK };
        self.give(ready);
    }

    /// Writes everything.
    pub fn finish(&mut self) {
        self.give(self.buf.len());
    }

    /// The original does not look whether its output can be written: what cannot is lost.
    fn give(&mut self, length: usize) {
        if let Some(ready) = self.buf.get(..length).filter(|ready| !ready.is_empty()) {
            let _ = self.out.write_all(ready);
            self.buf.drain(..length);
        }
    }
}

/// For what has a writer of its own: flushing is left to the end, as stdio does.
impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buf.extend_from_slice(bytes);
        self.done();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
