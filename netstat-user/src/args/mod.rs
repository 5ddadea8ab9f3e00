//! What was typed ([`flags`]), and what it means ([`plan`]). Nothing is looked up or opened here.

pub mod bsd;
pub mod compat;
pub mod flags;
pub mod manual;
pub mod plan;
pub mod select;
pub mod ss;
pub mod tables;
mod usage;
mod value;

pub use bsd::BsdPlan;
pub use compat::{CompatPlan, World};
pub use plan::{ListPlan, Plan, StatisticsPlan, TracePlan, UsageError};
pub(crate) use value::state;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use plan::Scope;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Words that are commands; a test holds them equal to clap's.
const COMMANDS: [&str; 5] = ["trace", "capabilities", "schema", "man", "completions"];

/// Why there is no plan.
#[derive(Debug)]
pub enum Stop {
    /// Help or version was asked for: text for standard output, a success.
    Show(String),
    /// The words make no sense: text for standard error, a failure.
    Usage(String),
    /// net-tools' netstat would end here.
    Compat(compat::End),
}

/// Whose language a command line is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Persona {
    Own,
    /// net-tools 2.10's netstat, byte for byte.
    NetTools,
    Bsd,
}

/// The word that asks for net-tools' netstat when the program does not go by that name.
const COMPAT: &str = "--compat";

/// The word that asks for BSD's netstat, and the name of the program that does.
const BSD: &str = "--bsd";
const BSD_NAME: &str = "bsdnetstat";

/// From the words of a command line, the program's name first, to what is to be done.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Plan, Stop> {
    parse_in(words, World::default())
}

/// The same in a `world` that is known, which matters to net-tools' options alone.
pub fn parse_in(words: impl IntoIterator<Item = OsString>, world: World) -> Result<Plan, Stop> {
    let words: Vec<OsString> = words.into_iter().collect();
    match persona(&words) {
        Persona::Own => own(words),
        Persona::NetTools => net_tools(&words, world).map(|plan| Plan::Compat(Box::new(plan))),
        Persona::Bsd => {
            let words: Vec<&[u8]> = words.iter().skip(1).map(|word| word.as_encoded_bytes()).collect();
            bsd::parse(&words).map(|(plan, scope)| match scope {
                Scope::Own => Plan::Bsd(Box::new(plan)),
                scope => Plan::Elsewhere(scope, Box::new(Plan::Bsd(Box::new(plan)))),
            })
        }
    }
}

/// Decided by the program's name, or else by `--compat` or `--bsd`, whichever is first, anywhere before `--`, unless the
/// first word is a command.
fn persona(words: &[OsString]) -> Persona {
    let Some((program, words)) = words.split_first() else { return Persona::Own };
    let is_command = words.first().is_some_and(|word| COMMANDS.iter().any(|command| word == command));
    let mut before = words.iter().take_while(|word| *word != "--");
    let asked = before.find(|word| *word == COMPAT || *word == BSD).filter(|_| !is_command);
    match asked {
        _ if is_netstat(program) => Persona::NetTools,
        _ if Path::new(program).file_name().is_some_and(|name| name == BSD_NAME) => Persona::Bsd,
        Some(word) if word == BSD => Persona::Bsd,
        Some(_) => Persona::NetTools,
        None => Persona::Own,
    }
}

fn is_netstat(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == "netstat")
}

fn net_tools(words: &[OsString], world: World) -> Result<CompatPlan, Stop> {
    let program = words.first().filter(|program| is_netstat(program));
    let mut options: Vec<&[u8]> = words.iter().skip(1).map(|word| word.as_encoded_bytes()).collect();
    if program.is_none()
        && let Some(at) = options.iter().position(|word| *word == COMPAT.as_bytes())
    {
        options.remove(at);
    }
    let program = program.map_or(&b"netstat"[..], |program| program.as_encoded_bytes());
    compat::parse(program, &options, world).map_err(Stop::Compat)
}

fn own(words: Vec<OsString>) -> Result<Plan, Stop> {
    let flags = match letters(&words) {
        Some(flags) => flags,
        None => flags::Flags::try_parse_from(words).map_err(stop)?,
    };
    if flags.list.bsd_persona {
        return Err(Stop::Usage(usage(
            "--bsd has to be written in full: it changes what the other words mean",
        )));
    }
    if flags.list.compat {
        return Err(Stop::Usage(usage(
            "--compat has to be written in full: it changes what the other words mean",
        )));
    }
    Plan::try_from(flags).map_err(|error| Stop::Usage(usage(&error.to_string())))
}

/// What almost every command line of a listing is: one word of plain letters, or none. clap, which has to be told of all
/// options before it reads one, takes a sixth of the time that a listing of listeners does. `None`: it is for clap to read.
fn letters(words: &[OsString]) -> Option<flags::Flags> {
    let letters = match words {
        [_] => "",
        [_, word] => word.to_str()?.strip_prefix('-').filter(|letters| !letters.is_empty())?,
        _ => return None,
    };
    let mut list = flags::ListFlags::default();
    for letter in letters.chars() {
        let flag = match letter {
            't' => &mut list.tcp,
            'u' => &mut list.udp,
            'w' => &mut list.raw,
            'x' => &mut list.unix,
            '6' => &mut list.inet6,
            'a' => &mut list.all,
            'l' => &mut list.listening,
            'n' => &mut list.numeric,
            'p' => &mut list.programs,
            'o' => &mut list.timers,
            'W' => &mut list.wide,
            _ => return None,
        };
        if std::mem::replace(flag, true) {
            return None;
        }
    }
    Some(flags::Flags { list, command: None })
}

fn stop(mut error: clap::Error) -> Stop {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Show(error.to_string()),
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict => {
            let named = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
            let word = named.into_iter().find_map(|kind| error.get(kind)).map(ToString::to_string);
            let word = word.unwrap_or_default();
            if !word.starts_with('-') && !COMMANDS.contains(&word.as_str()) {
                return Stop::Usage(usage(&UsageError::Operand(word).to_string()));
            }
            // "To pass it as a value" is no cure: plain words mean nothing here.
            error.remove(ContextKind::Suggested);
            Stop::Usage(tidy(&error))
        }
        _ => Stop::Usage(tidy(&error)),
    }
}

/// clap's message under the program's name.
fn tidy(error: &clap::Error) -> String {
    let text = error.to_string();
    format!("enetstat: {}", text.strip_prefix("error: ").unwrap_or(&text))
}

fn usage(message: &str) -> String {
    format!("enetstat: {message}\n\nFor more information, try '--help'.\n")
}

#[cfg(test)]
mod tests;
