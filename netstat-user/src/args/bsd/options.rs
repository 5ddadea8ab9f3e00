//! The options of the BSD persona, once: what is read, what help shows, and which displays each has a meaning in.

/// An option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Its letter; `\0`: it has a word alone.
    pub letter: char,
    /// Its word, which the default persona knows too where it has that feature.
    pub word: &'static str,
    /// What its value is; empty: it has none.
    pub value: &'static str,
    pub help: &'static str,
}

const fn flag(letter: char, word: &'static str, help: &'static str) -> Opt {
    Opt { letter, word, value: "", help }
}

const fn with(letter: char, word: &'static str, value: &'static str, help: &'static str) -> Opt {
    Opt { letter, word, value, help }
}

/// Every option, in the order in which help shows them.
pub const OPTIONS: &[Opt] = &[
    flag(
        'a',
        "all",
        "listening and unconnected sockets too; with -r what the kernel learnt and neighbours, with -i and -g memberships",
    ),
    flag('A', "pcb", "the kernel's identity of each socket (its cookie)"),
    flag('b', "bytes", "bytes in and out, of sockets (TCP) and interfaces"),
    flag('B', "captures", "sockets that capture packets, in place of bpf(4)"),
    flag('C', "congestion", "congestion control of each TCP connection"),
    flag('d', "drops", "packets dropped on the way out, with -i, -I and -w"),
    with('f', "family", "FAMILY", "only inet, inet6, unix (local), link (packet), route (netlink) or vsock"),
    with('F', "fib", "TABLE", "with -r, another routing table, by number or name"),
    flag('g', "multicast-routes", "multicast routing; with -a memberships too, with -s its counters"),
    flag('h', "human", "short numbers for people, with -i, -I and -w"),
    flag('i', "interfaces", "interfaces, a line for each address"),
    with('I', "interface", "NAME", "this interface alone, with -i, -w, -s and -B; alone it means -i"),
    with('j', "netns", "NETNS", "in this network namespace, Linux's jail: a name, a PID or a path"),
    flag('l', "long", "with -r reference count, use and MTU; addresses are whole without it"),
    flag('L', "listen-queues", "how full the queues of listeners are"),
    flag('m', "buffers", "memory of sockets and packets"),
    flag('n', "numeric", "numbers, not names"),
    flag('o', "nexthops", "next hops; with -O groups of them"),
    flag('O', "nexthop-groups", "groups of next hops"),
    with(
        'p',
        "proto",
        "PROTOCOL",
        "only this protocol: tcp, udp, udplite, raw; with -s also ip, icmp, ip6, icmp6, udp6, sctp, ...",
    ),
    with('q', "count", "N", "with -w, end after N lines"),
    flag('Q', "softnet", "what each processor did with received packets"),
    flag('r', "routes", "routes; with -s their counters"),
    flag('s', "statistics", "counters of protocols; twice: none that is 0"),
    flag('S', "numeric-hosts", "addresses as numbers, ports by name"),
    flag('T', "tcp-counters", "segments sent again and out of order of each TCP connection"),
    flag('v', "verbose", "processes of sockets, and of unix sockets those at the other end"),
    with('w', "interval", "SECONDS", "packets of all interfaces, or of -I, counted anew each interval"),
    flag('W', "wide", "the same as -l"),
    flag('x', "socket-buffers", "buffers and timers of each socket"),
    flag('4', "ipv4", "IPv4 only"),
    flag('6', "ipv6", "IPv6 only"),
    flag('\0', "bound", "TCP sockets that are bound and nothing else"),
    flag(
        '\0',
        "all-netns",
        "in every network namespace, with a column that names it; -j and --netns name one",
    ),
    flag('\0', "json", "JSON, one object a line (see: enetstat schema)"),
    flag('\0', "bsd", "this persona; the name bsdnetstat asks for it, too"),
    flag('\0', "help", "this text"),
    flag('\0', "version", "the version"),
];

/// Options of BSD that have no counterpart in Linux: the letter, whether a value belongs to it, and why.
pub const ABSENT: &[(char, bool, &str)] = &[
    ('M', true, "Linux keeps no kernel memory image that sockets could be read from"),
    ('N', true, "Linux has no name list of a kernel image to be read"),
    ('P', false, "Linux sockets have no log identifier"),
    ('R', false, "Linux does not tell the flow identifier of a socket"),
    ('t', false, "Linux does not tell the watchdog timer of an interface"),
    ('z', false, "Linux does not let its counters be set to 0"),
];

/// The option with this letter.
pub fn by_letter(letter: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.letter == letter && letter != '\0')
}

/// The option with this word.
pub fn by_word(word: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.word == word)
}

/// What `--help` shows.
pub fn help() -> String {
    let mut text = String::from(
        "The network of this host, as BSD's netstat shows it.\n\n\
         Usage: enetstat --bsd [-aAbCTvWnS46] [-f FAMILY | -p PROTOCOL]     sockets (-x: buffers, -L: listen queues)\n\
         \x20      enetstat --bsd -i | -I NAME [-abdhn46]                      interfaces (-s: counters of each)\n\
         \x20      enetstat --bsd -w SECONDS [-I NAME] [-bdh] [-q N]           packets, again and again\n\
         \x20      enetstat --bsd -r [-alnW46] [-F TABLE]                      routes (-s: their counters)\n\
         \x20      enetstat --bsd -s [-s] [-46] [-f FAMILY | -p PROTOCOL]      counters of protocols\n\
         \x20      enetstat --bsd -m | -Q | -B [-I NAME] | -g [-as46] | -o | -O\n\nOptions:\n",
    );
    for option in OPTIONS {
        let value = if option.value.is_empty() { String::new() } else { format!(" {}", option.value) };
        let names = match option.letter {
            '\0' => format!("    --{}{value}", option.word),
            letter => format!("-{letter}, --{}{value}", option.word),
        };
        text.push_str(&format!("  {names:<30} {}\n", option.help));
    }
    text.push_str("\nWithout counterpart in Linux, and refused by name:\n");
    for (letter, _, why) in ABSENT {
        text.push_str(&format!("  -{letter:<29} {why}\n"));
    }
    text.push_str("\nExit status: 0 all was shown, 1 not all of it or wrong usage, 2 failure.\n");
    text
}
