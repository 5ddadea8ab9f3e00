//! The table and the file that a benchmark leaves.

use anyhow::{Context, Result};
use std::io::Write;
use std::path::PathBuf;

/// Prints a table whose first column is text and whose others are right-aligned.
///
/// # Errors
/// Standard output is gone.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = std::io::stdout().lock();
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let cell = if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            line.push_str(&cell);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes `bench/NAME.json` in the target directory; gives its path.
///
/// # Errors
/// It cannot be written.
pub fn save(name: &str, value: &serde_json::Value) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // target/release/bench
    let target = own.ancestors().nth(2).context("no target directory")?;
    let directory = target.join("bench");
    std::fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}.json"));
    std::fs::write(&path, format!("{value:#}\n")).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// A figure with a sensible number of digits; `-` for none.
pub fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
