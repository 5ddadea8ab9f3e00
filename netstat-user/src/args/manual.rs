//! Manual pages and completions, made from the definitions of the flags and of the columns.

use super::flags::{Flags, Page};
use super::{bsd, compat, value};
use crate::model::TcpState;
use crate::view::column::COLUMNS;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// At the foot of each page.
const SOURCE: &str = concat!("enetstat ", env!("CARGO_PKG_VERSION"));

/// A manual page as roff, for man(1).
///
/// # Errors
/// None in practice: it is written to memory.
pub fn page(page: Page) -> io::Result<Vec<u8>> {
    let mut command = Flags::command();
    command.build();
    let mut out = Vec::new();
    match page {
        Page::Enetstat => {
            let shown = command.clone();
            let man = Man::new(command)
                .title("ENETSTAT")
                .section("8")
                .manual("Network administration")
                .source(SOURCE);
            man.render_title(&mut out)?;
            man.render_name_section(&mut out)?;
            man.render_synopsis_section(&mut out)?;
            man.render_description_section(&mut out)?;
            man.render_options_section(&mut out)?;
            man.render_subcommands_section(&mut out)?;
            columns(&mut out)?;
            filters(&mut out)?;
            examples(&mut out, &shown)?;
            rest(&mut out)?;
        }
        Page::Trace => {
            let trace = command.find_subcommand("trace").cloned().unwrap_or_default();
            let shown = trace.clone();
            let man = Man::new(trace.name("enetstat-trace"))
                .title("ENETSTAT-TRACE")
                .section("8")
                .manual("Network administration")
                .source(SOURCE);
            man.render_title(&mut out)?;
            man.render_name_section(&mut out)?;
            man.render_synopsis_section(&mut out)?;
            man.render_description_section(&mut out)?;
            man.render_options_section(&mut out)?;
            filters(&mut out)?;
            examples(&mut out, &shown)?;
            rest(&mut out)?;
        }
        Page::Netstat => netstat(&mut out)?,
        Page::Bsdnetstat => bsdnetstat(&mut out)?,
    }
    Ok(out)
}

/// What the help has behind the options, line by line.
fn examples(out: &mut Vec<u8>, command: &clap::Command) -> io::Result<()> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES AND EXIT STATUS"]);
    for part in text.split_inclusive("\n\n") {
        // Paragraphs are filled, examples are not.
        let examples = part.starts_with("Examples:");
        roff.control(if examples { "nf" } else { "PP" }, []);
        for line in part.trim_end().lines().filter(|line| *line != "Examples:") {
            roff.text([roman(line)]);
        }
        if examples {
            roff.control("fi", []);
        }
    }
    roff.to_writer(out)
}

fn columns(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["COLUMNS"]);
    roff.text([
        roman("Names for "),
        bold("--columns"),
        roman(" and "),
        bold("--sort"),
        roman(", with the fields of JSON that carry them:"),
    ]);
    for spec in COLUMNS {
        roff.control("TP", []);
        roff.text([bold(spec.name)]);
        roff.text([roman(format!("{} ({})", spec.meaning, spec.fields.join(", ")))]);
    }
    roff.to_writer(out)
}

/// The grammar of filters: form and meaning.
const FILTERS: [(&str, &str); 14] = [
    (
        "state STATE, exclude STATE",
        "before all other words; several add up. established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, \
        time-wait, unconnected, close-wait, last-ack, listening, closing; all, connected, synchronized, bucket (syn-recv and time-wait), \
        big (all but these). They replace -a and -l",
    ),
    (
        "src HOST, dst HOST",
        "local or foreign address: ADDRESS, ADDRESS/LENGTH, ADDRESS:PORT, *:PORT, a host name, or the path of a unix \
        socket, or of the one at its other end, with *, ? and [...] (/run/*, unix:NAME). IPv6 addresses in brackets when a port follows. inet: or inet6: before it \
        leaves that family alone",
    ),
    (
        "sport OP PORT, dport OP PORT",
        "local or foreign port by number or name (:https). OP is = (eq, or left out), != (ne), > (gt), < (lt), \
        >= (ge) or <= (le)",
    ),
    ("dev DEVICE", "bound to this interface; dev != DEVICE: not bound to it"),
    ("fwmark MARK[/MASK]", "mark of the socket (as root)"),
    (
        "cgroup PATH",
        "the socket belongs to this cgroup (version 2): the path of its directory, or its path in the hierarchy, of which / is the root",
    ),
    ("autobound", "the kernel chose its port"),
    ("not EXPR, ! EXPR", "the opposite"),
    ("EXPR and EXPR, EXPR & EXPR, EXPR EXPR", "both"),
    ("EXPR or EXPR, EXPR | EXPR", "one of both. and and or bind alike, from left to right, as in ss"),
    ("( EXPR )", "first of all"),
    ("\\", "takes the meaning from a blank or a parenthesis behind it"),
    (
        "TCPDIAG_FILE",
        "(an environment variable) a file of ss -D or enetstat --dump that is read in place of the kernel's TCP sockets",
    ),
    ("NO_COLOR", "(an environment variable) no colours on a terminal"),
];

fn filters(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["FILTERS AND ENVIRONMENT"]);
    for (form, meaning) in FILTERS {
        roff.control("TP", []);
        roff.text([bold(form)]);
        roff.text([roman(meaning)]);
    }
    roff.to_writer(out)
}

fn rest(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("netstat"),
        roman("(8), "),
        bold("ss"),
        roman("(8), "),
        bold("sock_diag"),
        roman("(7), "),
        bold("bpf"),
        roman("(2)"),
    ]);
    roff.to_writer(out)
}

/// The program under the name of net-tools' netstat, from the options that it reads then.
fn netstat(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("TH", ["NETSTAT", "8", "", SOURCE, "Network administration"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("netstat - show network connections, as net-tools 2.10 does")]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("netstat"), roman(" [OPTIONS]")]);
    roff.text([bold("enetstat --compat"), roman(" [OPTIONS]")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "Under the name netstat, or with --compat, enetstat reads the options of net-tools 2.10 and prints what it prints, byte for \
         byte. Operands are ignored. Long options may be shortened as long as they stay unique.",
    )]);
    roff.control("SH", ["OPTIONS"]);
    for (long, short, takes) in compat::options() {
        roff.control("TP", []);
        let argument = if takes { roman("=ARGUMENT") } else { roman("") };
        match short {
            Some(letter) => {
                roff.text([bold(format!("-{letter}")), roman(", "), bold(format!("--{long}")), argument])
            }
            None => roff.text([bold(format!("--{long}")), argument]),
        };
        roff.text([roman(meaning(long))]);
    }
    roff.to_writer(out)?;
    rest(out)
}

/// The program as BSD's netstat, from the options that it reads then.
fn bsdnetstat(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("TH", ["BSDNETSTAT", "8", "", SOURCE, "Network administration"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("bsdnetstat - show the network of a Linux host as BSD's netstat does")]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("bsdnetstat"), roman(" [OPTIONS]")]);
    roff.control("br", []);
    roff.text([bold("enetstat --bsd"), roman(" [OPTIONS]")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "Under the name bsdnetstat, or with --bsd, enetstat reads the options of BSD's netstat and shows its displays. An \
         option that the display at hand has no use for is refused.",
    )]);
    roff.control("SH", ["OPTIONS"]);
    for option in bsd::options::OPTIONS {
        roff.control("TP", []);
        let value = if option.value.is_empty() { String::new() } else { format!(" {}", option.value) };
        let word = bold(format!("--{}", option.word));
        match option.letter {
            '\0' => roff.text([word, roman(value)]),
            letter => roff.text([bold(format!("-{letter}")), roman(", "), word, roman(value)]),
        };
        roff.text([roman(option.help)]);
    }
    roff.control("SH", ["WITHOUT COUNTERPART IN LINUX"]);
    roff.text([roman("These are refused by name:")]);
    for (letter, _, why) in bsd::options::ABSENT {
        roff.control("TP", []);
        roff.text([bold(format!("-{letter}"))]);
        roff.text([roman(*why)]);
    }
    roff.to_writer(out)?;
    rest(out)
}

/// What an option of netstat means: the same as the flag of this program that has its name.
fn meaning(long: &str) -> String {
    let command = Flags::command();
    let named = command.get_arguments().find(|flag| {
        flag.get_long() == Some(long) || flag.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
    });
    let help = named.and_then(|flag| flag.get_help()).map(ToString::to_string);
    help.unwrap_or_else(|| match long {
        "version" => "Print the version".to_owned(),
        "help" => "Print a summary of the options".to_owned(),
        family => format!("Sockets of the family {family}"),
    })
}

/// What a shell evaluates to complete command lines.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut out = Vec::new();
    let mut command = for_shells();
    clap_complete::generate(shell, &mut command, "enetstat", &mut out);
    if shell == clap_complete::Shell::Fish {
        positional(&mut out, &command);
        return open_option(&out);
    }
    out
}

/// The command as shells are told of it: without the words of a filter, which zsh would wait for before a subcommand, and
/// with the values of options that are read by a function of ours.
fn for_shells() -> Command {
    let whole = Flags::command();
    let options = whole.get_arguments().filter(|flag| !flag.is_positional()).cloned();
    let command = Command::new("enetstat").args(options.map(with_values));
    command.subcommands(whole.get_subcommands().map(|command| command.clone().mut_args(with_values)))
}

fn with_values(flag: Arg) -> Arg {
    let columns = || COLUMNS.iter().map(|spec| spec.name).collect();
    let values: Vec<&'static str> = match flag.get_long() {
        Some("columns" | "sort") => columns(),
        Some("protocol") => value::families().to_vec(),
        Some("state") => TcpState::ALL.iter().map(|state| state.name()).collect(),
        _ => return flag,
    };
    flag.value_parser(PossibleValuesParser::new(values))
}

/// The script asks whether a subcommand was typed by reading all words before the one at hand; it is told here that the last
/// of these may be an option whose value is being typed.
fn open_option(script: &[u8]) -> Vec<u8> {
    const READS: &str = "    argparse -s (__fish_enetstat_global_optspecs) -- $cmd 2>/dev/null\n";
    let again = format!("{READS}    or begin\n        set -e cmd[-1]\n    {READS}    end\n");
    String::from_utf8_lossy(script).replace(READS, &again).into_bytes()
}

/// What fish is not told: the words that may follow a subcommand.
fn positional(out: &mut Vec<u8>, command: &Command) {
    for subcommand in command.get_subcommands() {
        for word in subcommand.get_positionals() {
            let values: Vec<_> =
                word.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            if !values.is_empty() {
                let (name, values) = (subcommand.get_name(), values.join(" "));
                let line = format!(
                    "complete -c enetstat -n \"__fish_enetstat_using_subcommand {name}\" -f -a \"{values}\"\n"
                );
                out.extend_from_slice(line.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn text(which: Page) -> String {
        String::from_utf8(page(which).unwrap()).unwrap()
    }

    #[test]
    fn every_flag_that_is_shown_and_every_column_is_in_the_page() {
        let page = text(Page::Enetstat);
        let command = Flags::command();
        for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
            if let Some(long) = flag.get_long() {
                let escaped = long.replace('-', "\\-");
                assert!(page.contains(&format!("\\-\\-{escaped}")), "--{long}");
            }
        }
        // roff has its own way to write some characters.
        let plain = page.replace("\\-", "-").replace("\\*(Aq", "'").replace("\\(aq", "'");
        for spec in COLUMNS {
            assert!(plain.contains(spec.meaning), "{}", spec.name);
        }
    }

    #[test]
    fn every_option_of_netstat_is_explained() {
        let page = text(Page::Netstat);
        for (long, ..) in compat::options() {
            assert!(page.contains(&long.replace('-', "\\-")), "{long}");
        }
    }

    #[test]
    fn every_option_of_bsd_is_explained() {
        let page = text(Page::Bsdnetstat).replace("\\-", "-").replace("\\*(Aq", "'").replace("\\(aq", "'");
        for option in bsd::options::OPTIONS {
            assert!(page.contains(&format!("--{}", option.word)), "{}", option.word);
            assert!(page.contains(option.help), "{}", option.word);
        }
    }

    #[test]
    fn every_shell_has_completions() {
        for shell in clap_complete::Shell::value_variants() {
            assert!(String::from_utf8(completions(*shell)).unwrap().contains("keep-closed"), "{shell}");
        }
    }
}
