//! What was typed ([`flags`]), and what it means ([`plan`]). Nothing is looked up or opened here.

pub mod flags;
pub mod plan;
mod value;

pub use plan::{ListPlan, Plan, StatisticsPlan, TracePlan, UsageError};

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use std::ffi::OsString;

/// Words that are commands; a test holds them equal to clap's.
const COMMANDS: [&str; 3] = ["trace", "capabilities", "schema"];

/// Why there is no plan.
#[derive(Debug)]
pub enum Stop {
    /// Help or version was asked for: text for standard output, a success.
    Show(String),
    /// The words make no sense: text for standard error, a failure.
    Usage(String),
}

/// From the words of a command line, the program's name first, to what is to be done.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Plan, Stop> {
    let flags = flags::Flags::try_parse_from(words).map_err(stop)?;
    Plan::try_from(flags).map_err(|error| Stop::Usage(usage(&error.to_string())))
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
