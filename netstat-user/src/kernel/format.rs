//! Layouts of classic tracepoints, from tracefs.

use netstat_common::Layout;
use std::path::{Path, PathBuf};

/// One field of a tracepoint's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// Bytes from the start of the record.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// The fields that a tracepoint's `format` file lists. Lines that do not describe a field are passed over.
///
/// ```text
///     field:__u8 saddr[4];    offset:32;    size:4;    signed:0;
/// ```
pub fn parse(text: &str) -> Vec<Field> {
    text.lines().filter_map(field).collect()
}

fn field(line: &str) -> Option<Field> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let name = declaration.rsplit([' ', '*', '\t']).next()?;
    let name = name.split('[').next()?;
    let (mut offset, mut size) = (None, None);
    for part in parts {
        match part.split_once(':') {
            Some(("offset", number)) => offset = number.parse().ok(),
            Some(("size", number)) => size = number.parse().ok(),
            _ => {}
        }
    }
    Some(Field { name: name.to_owned(), offset: offset?, size: size? })
}

/// Directory of tracefs below `root`, if it is mounted.
pub fn tracefs(root: &Path) -> Option<PathBuf> {
    ["sys/kernel/tracing", "sys/kernel/debug/tracing"]
        .into_iter()
        .map(|path| root.join(path))
        .find(|path| path.join("events").is_dir())
}

/// The places of all fields that the kernel half takes from classic tracepoints. A tracepoint that the kernel lacks
/// leaves its fields absent.
pub fn layout(tracefs: &Path) -> Layout {
    let mut last: Option<(String, Vec<Field>)> = None;
    Layout::resolve(|system, event, name, size| {
        let path = format!("events/{system}/{event}/format");
        if last.as_ref().is_none_or(|(known, _)| *known != path) {
            let text = std::fs::read_to_string(tracefs.join(&path)).unwrap_or_default();
            last = Some((path, parse(&text)));
        }
        let (_, fields) = last.as_ref()?;
        let field = fields.iter().find(|field| field.name == name && field.size == size)?;
        Some(field.offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_common::offsets::ABSENT;
    use proptest::prelude::*;

    const STATE: &str = "name: inet_sock_set_state\nID: 2287\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;\n\
        \tfield:__u8 protocol;\toffset:30;\tsize:1;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n\
        print fmt: \"family=%s\", REC->family\n";

    #[test]
    fn pointers_arrays_and_plain_fields_are_read() {
        let fields = parse(STATE);
        assert_eq!(fields.len(), 5);
        assert_eq!(fields[1], Field { name: "skaddr".into(), offset: 8, size: 8 });
        assert_eq!(fields[4], Field { name: "saddr".into(), offset: 32, size: 4 });
    }

    #[test]
    fn a_field_of_another_size_counts_as_absent() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(tracefs(root.path()), None);
        let events = root.path().join("sys/kernel/tracing/events/sock/inet_sock_set_state");
        std::fs::create_dir_all(&events).unwrap();
        std::fs::write(events.join("format"), STATE).unwrap();
        let layout = layout(&tracefs(root.path()).unwrap());
        assert_eq!((layout.state_sk, layout.state_from, layout.state_laddr), (8, 16, 32));
        assert_eq!((layout.state_protocol, layout.send_sk), (ABSENT, ABSENT));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(field:|offset:|size:|[a-z \\[\\];:0-9\t\n]){0,60}") {
            parse(&text);
        }
    }
}
