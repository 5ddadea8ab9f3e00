//! `cargo xtask insns`: how large the kernel half's programs are, and how much of the stack they use.
//!
//! What the object tells is kept in a file that is reviewed with every change, and `cargo xtask lint` compares. What a
//! kernel makes of it depends on the kernel: it is shown, and kept beside for the reader, but not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind};
use serde_json::Value;

use crate::shell::{self, Workspace, say};
use crate::{linker, setup};

/// The reviewed file.
const FILE: &str = "netstat-ebpf/insns.txt";
/// What a trace loads, and what a listing does.
const OBJECTS: [&str; 2] = ["netstat-ebpf", "netstat-listing"];
/// The part that follows is not compared.
const KERNEL: &str = "\n# As a kernel loaded them";
/// Bytes of the stack that a chain of calls may use, and what each of its frames is rounded up to
/// (`MAX_BPF_STACK` and `check_max_stack_depth`, kernel/bpf/verifier.c, 6.12).
const STACK: u32 = 512;
const FRAME: u32 = 32;

/// `cargo xtask insns`
pub fn insns(bless: bool) -> anyhow::Result<()> {
    let workspace = Workspace::enter()?;
    setup::for_build()?;
    let built = built()?;
    let kernel = kernel(&workspace)?;
    let whole = format!("{built}{}", kernel.as_deref().unwrap_or_default());
    shell::print(&whole)?;
    if bless {
        // A kernel that cannot be asked here leaves what was kept.
        let kept = fs::read_to_string(FILE).unwrap_or_default();
        let kept = kept.find(KERNEL).map_or("", |at| &kept[at..]);
        fs::write(FILE, format!("{built}{}", kernel.as_deref().unwrap_or(kept))).context(FILE)?;
        say(format_args!("wrote {FILE}"));
        return Ok(());
    }
    compare(&built)
}

/// Part of `cargo xtask lint`.
pub fn check() -> anyhow::Result<()> {
    compare(&built()?)
}

/// Holds the reviewed file against the build.
fn compare(built: &str) -> anyhow::Result<()> {
    let kept =
        fs::read_to_string(FILE).with_context(|| format!("{FILE}: `cargo xtask insns --bless` writes it"))?;
    let kept = kept.split(KERNEL).next().unwrap_or_default();
    let by = |text: &str| text.lines().find(|line| line.starts_with("# built by ")).map(str::to_owned);
    if by(kept) != by(built) {
        say(format_args!(
            "{FILE} is not compared: it was made with another compiler ({})",
            by(kept).unwrap_or_default().trim_start_matches("# ")
        ));
        return Ok(());
    }
    let differences = differences(kept, built);
    if differences.is_empty() {
        return Ok(());
    }
    differences.iter().for_each(say);
    bail!("the programs are not those of {FILE}: look at the numbers, then `cargo xtask insns --bless`")
}

/// Lines that only one of the two has.
fn differences(kept: &str, built: &str) -> Vec<String> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (kept.lines().collect(), built.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
}

/// The table of the object as it is built.
fn built() -> anyhow::Result<String> {
    let rustc = linker::Rustc::ask(&shell::rustc()).map_err(anyhow::Error::msg)?;
    let directory = objects()?;
    let mut all = Vec::new();
    for object in OBJECTS {
        let path = directory.join(object);
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let programs = programs(&bytes).with_context(|| path.display().to_string())?;
        ensure!(!programs.is_empty(), "{} has no programs", path.display());
        all.extend(programs);
    }
    let mut text = format!(
        "# The programs of the kernel half: instructions of each and with what it calls, bytes of stack of its own frame and of\n\
         # the deepest chain of calls (each frame rounded up to {FRAME}; the kernel allows {STACK}). `cargo xtask insns --bless`.\n\
         # built by rustc {}, LLVM {}, bpf-linker {}, for {}\n\
         {:<26} {:>12} {:>10} {:>6} {:>6}\n",
        rustc.release,
        rustc.llvm,
        linker::version(linker::BPF_LINKER),
        std::env::consts::ARCH,
        "program",
        "instructions",
        "with calls",
        "stack",
        "chain"
    );
    for Program { name, own, all, stack, chain } in all {
        writeln!(text, "{name:<26} {own:>12} {all:>10} {stack:>6} {chain:>6}")?;
        ensure!(chain <= STACK, "{name} may need {chain} bytes of stack: the kernel allows {STACK}");
    }
    Ok(text)
}

/// Where the build script of netstat-user leaves the objects.
fn objects() -> anyhow::Result<PathBuf> {
    let mut cargo = shell::cargo();
    cargo.args(["check", "--quiet", "--package", "netstat-user", "--lib", "--message-format=json"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("building netstat-user failed");
    }
    let text = String::from_utf8(output.stdout).context("cargo printed what is not UTF-8")?;
    let found = text.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let ours = message["reason"] == "build-script-executed"
            && message["package_id"].as_str()?.contains("netstat-user");
        ours.then(|| Some(PathBuf::from(message["out_dir"].as_str()?)))?
    });
    found.context("cargo tells of no build script of netstat-user")
}

/// What is known of a program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    own: u32,
    /// With every function that it may call, each once.
    all: u32,
    stack: u32,
    chain: u32,
}

/// Section and address.
type Place = (usize, u64);

/// A function of the object.
struct Function {
    name: String,
    entry: bool,
    instructions: u32,
    stack: u32,
    calls: BTreeSet<Place>,
}

/// Every program of an object, by name.
fn programs(bytes: &[u8]) -> anyhow::Result<Vec<Program>> {
    let file = object::File::parse(bytes)?;
    let mut functions: BTreeMap<Place, Function> = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let section = file.section_by_index(symbol.section_index().context("a function nowhere")?)?;
        let start = usize::try_from(symbol.address() - section.address())?;
        let code = section.data()?.get(start..start + usize::try_from(symbol.size())?);
        let code =
            code.with_context(|| format!("{} lies outside its section", symbol.name().unwrap_or("?")))?;
        // Whom the object's linker has to tell the address of.
        let mut targets = BTreeMap::new();
        for (offset, relocation) in section.relocations() {
            if let RelocationTarget::Symbol(index) = relocation.target() {
                let target = file.symbol_by_index(index)?;
                if let Some(place) = target.section_index() {
                    targets.insert(offset, (place.0, target.address()));
                }
            }
        }
        let (stack, calls) = read(code, (section.index().0, symbol.address()), &targets);
        let function = Function {
            name: symbol.name()?.to_owned(),
            // Functions that only others call are left in `.text`.
            entry: section.name()? != ".text",
            instructions: u32::try_from(code.len() / 8)?,
            stack,
            calls,
        };
        functions.insert((section.index().0, symbol.address()), function);
    }
    let mut programs = Vec::new();
    for (&place, function) in functions.iter().filter(|(_, function)| function.entry) {
        let mut reached = BTreeSet::new();
        let chain = deepest(&functions, place, &mut reached, 0)?;
        let all = reached
            .iter()
            .filter_map(|place| functions.get(place))
            .map(|function| function.instructions)
            .sum();
        let (name, own, stack) = (function.name.clone(), function.instructions, function.stack);
        programs.push(Program { name, own, all, stack, chain });
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// Bytes of stack of the deepest chain of calls; `reached` gets every function of them.
fn deepest(
    functions: &BTreeMap<Place, Function>,
    place: Place,
    reached: &mut BTreeSet<Place>,
    depth: u32,
) -> anyhow::Result<u32> {
    // `MAX_CALL_FRAMES`: the kernel allows no more, and so no function that calls itself.
    ensure!(depth < 8, "more than eight calls in each other");
    let Some(function) = functions.get(&place) else { return Ok(0) };
    reached.insert(place);
    let mut below = 0;
    for &callee in &function.calls {
        below = below.max(deepest(functions, callee, reached, depth + 1)?);
    }
    Ok(function.stack.max(1).next_multiple_of(FRAME) + below)
}

/// Bytes of stack that code uses, and what it calls (Documentation/bpf/standardization/instruction-set.rst, 6.12).
fn read(code: &[u8], at: Place, targets: &BTreeMap<u64, Place>) -> (u32, BTreeSet<Place>) {
    const CALL: u8 = 0x85;
    const LOAD_64: u8 = 0x18;
    const MOVE: u8 = 0xbf;
    const ADD: u8 = 0x07;
    const FRAME_POINTER: u8 = 10;
    let (mut stack, mut calls) = (0, BTreeSet::new());
    // Which registers hold the frame pointer, for addresses that are computed.
    let mut frame = [false; 16];
    let mut instructions = code.chunks_exact(8).zip(0u64..);
    while let Some((instruction, index)) = instructions.next() {
        let (to, from) = (instruction[1] & 0xf, instruction[1] >> 4);
        let offset = i16::from_le_bytes([instruction[2], instruction[3]]);
        let value = i32::from_le_bytes([instruction[4], instruction[5], instruction[6], instruction[7]]);
        let here = at.1 + index * 8;
        let below = |offset: i64| u32::try_from(-offset).unwrap_or(0);
        let target = targets.get(&here).copied();
        match (instruction[0], instruction[0] & 7) {
            // A function of this object (`BPF_PSEUDO_CALL`).
            (CALL, _) if from == 1 => {
                let place = match target {
                    Some((section, base)) => (section, base.wrapping_add_signed(8 * (i64::from(value) + 1))),
                    None => (at.0, here.wrapping_add_signed(8 * (i64::from(value) + 1))),
                };
                // Where the relocation names the function itself, the instruction holds -1.
                calls.insert(place);
            }
            (LOAD_64, _) => {
                // The address of a function that a helper is to call.
                calls.extend(target.map(|(section, base)| (section, base.wrapping_add_signed(value.into()))));
                instructions.next();
                frame[usize::from(to)] = false;
            }
            (MOVE, _) => frame[usize::from(to)] = from == FRAME_POINTER,
            (ADD, _) if frame[usize::from(to)] => {
                stack = stack.max(below(value.into()));
                frame[usize::from(to)] = false;
            }
            // Stores, through the second register, and loads.
            (_, 2 | 3) if to == FRAME_POINTER => stack = stack.max(below(offset.into())),
            (_, 1) => {
                if from == FRAME_POINTER {
                    stack = stack.max(below(offset.into()));
                }
                frame[usize::from(to)] = false;
            }
            (_, 4 | 7) => frame[usize::from(to)] = false,
            _ => {}
        }
    }
    (stack, calls)
}

/// The same programs as this kernel loads them, tier by tier; `None` without root.
fn kernel(workspace: &Workspace) -> anyhow::Result<Option<String>> {
    let mut cargo = shell::cargo();
    shell::run(cargo.args(["build", "--quiet", "--package", "netstat-user", "--example", "insns"]))?;
    let example = workspace.target.join("debug/examples/insns");
    let Some(mut command) = shell::as_root(&example, &[]) else {
        say("what the kernel makes of the programs is not shown: it takes root to load them");
        return Ok(None);
    };
    let release = shell::output(Command::new("uname").arg("-r"))?;
    let loaded = shell::output(&mut command)?;
    Ok(Some(format!(
        "{KERNEL} ({}): instructions after its own changes, and those its verifier walked.\n{loaded}",
        release.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = (1, 0);

    fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> [u8; 8] {
        let mut bytes = [code, from << 4 | to, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&offset.to_le_bytes());
        bytes[4..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    #[test]
    fn stores_loads_and_computed_addresses_use_the_stack() {
        let read = |code: &[[u8; 8]]| read(&code.concat(), AT, &BTreeMap::new()).0;
        assert_eq!(read(&[instruction(0x7b, 10, 1, -24, 0)]), 24);
        assert_eq!(read(&[instruction(0x79, 1, 10, -40, 0)]), 40);
        // Another register, and upwards.
        assert_eq!(read(&[instruction(0x7b, 1, 10, -24, 0), instruction(0x79, 1, 2, -40, 0)]), 0);
        let computed = [instruction(0xbf, 2, 10, 0, 0), instruction(0x07, 2, 0, 0, -64)];
        assert_eq!(read(&computed), 64);
        assert_eq!(read(&computed[1..]), 0);
    }

    #[test]
    fn calls_are_followed_with_and_without_the_linker() {
        let code = [
            instruction(0x85, 0, 1, 0, 4),
            instruction(0x85, 0, 1, 0, -1),
            instruction(0x85, 0, 0, 0, 14),
            instruction(0x18, 2, 4, 0, 16),
            [0; 8],
        ];
        let other = 2;
        let targets = BTreeMap::from([(8, (other, 80)), (24, (other, 0))]);
        let (_, calls) = read(&code.concat(), AT, &targets);
        assert_eq!(calls, BTreeSet::from([(AT.0, 40), (other, 80), (other, 16)]));
    }

    #[test]
    fn chains_are_added_up_and_loops_refused() {
        let function = |entry, stack, calls: &[u64]| Function {
            name: "f".to_owned(),
            entry,
            instructions: 10,
            stack,
            calls: calls.iter().map(|&at| (AT.0, at)).collect(),
        };
        let at = |at| (AT.0, at);
        let mut functions = BTreeMap::from([
            (at(0), function(true, 40, &[80, 160])),
            (at(80), function(false, 0, &[160])),
            (at(160), function(false, 100, &[])),
        ]);
        let mut reached = BTreeSet::new();
        assert_eq!(deepest(&functions, at(0), &mut reached, 0).unwrap(), 64 + 32 + 128);
        assert_eq!(reached.len(), 3);
        functions.insert(at(160), function(false, 0, &[0]));
        assert!(deepest(&functions, at(0), &mut BTreeSet::new(), 0).is_err());
    }

    #[test]
    fn a_changed_number_is_a_difference() {
        assert_eq!(differences("a 1\nb 2\n", "a 1\nb 3\n"), ["- b 2", "+ b 3"]);
        assert!(differences("a 1\n", "a 1\n").is_empty());
    }
}
