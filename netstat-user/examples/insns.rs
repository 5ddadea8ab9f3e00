//! Loads the kernel half in each tier and says what this kernel made of its programs. Needs what `enetstat trace` needs.
#![allow(clippy::print_stdout, reason = "an example prints")]

use anyhow::Context as _;
use aya::programs::loaded_programs;
use netstat_user::kernel::tier::Tier;
use netstat_user::source::stream::{Options, Queues, Stream};
use std::collections::{BTreeMap, BTreeSet};

fn main() -> anyhow::Result<()> {
    println!("{:<12} {:<26} {:>10} {:>10}", "tier", "program", "translated", "walked");
    for tier in [Tier::Fentry, Tier::TpBtf, Tier::RawTp, Tier::Kprobe, Tier::Tracepoint] {
        let with = |queues| Stream::start(&Options { tier: Some(tier), queues, ..Options::default() });
        // Not every tier has queue changes on every kernel.
        let stream = match with(Queues::Coalesced).or_else(|_| with(Queues::Off)) {
            Ok(stream) => stream,
            Err(error) => {
                println!("{tier:<12} refused: {error}");
                continue;
            }
        };
        let ours = ours()?;
        let mut programs = BTreeMap::new();
        for program in loaded_programs() {
            // Another process may unload its own meanwhile.
            let Ok(program) = program else { continue };
            if ours.contains(&program.id()) {
                let name = program.name_as_str().unwrap_or("?").to_owned();
                let translated = program.size_translated().map(|bytes| bytes / 8);
                programs.insert((name, program.id()), (translated, program.verified_instruction_count()));
            }
        }
        let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        for ((name, _), (translated, walked)) in programs {
            println!("{tier:<12} {name:<26} {:>10} {:>10}", number(translated), number(walked));
        }
        drop(stream);
    }
    Ok(())
}

/// Numbers of the programs that this process holds (Documentation/filesystems/proc.rst, 6.12: fdinfo).
fn ours() -> anyhow::Result<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").context("own files")? {
        // The directory itself is one of them, and closed by then.
        let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
        let numbered = text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
        numbers.extend(numbered.collect::<Vec<u32>>());
    }
    Ok(numbers)
}
