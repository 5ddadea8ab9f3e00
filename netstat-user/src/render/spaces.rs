//! A column of network namespaces before the text of any display.

use super::text::{escaped, left};

/// How the titles of displays begin, which no row of any does. The line that follows a title has the names of columns.
const TITLES: [&[u8]; 16] = [
    b"Kernel I",
    b"IPv6/IPv4 ",
    b"IPv4 ",
    b"IPv6 ",
    b"IP masquerading ",
    b"Active Internet ",
    b"Active UNIX ",
    b"Active packet ",
    b"Active netlink ",
    b"Active vsock ",
    b"Current listen queue sizes ",
    b"Routing tables",
    b"Internet:",
    b"Internet6:",
    b"Nexthop data",
    b"Nexthop groups data",
];
/// How a title ends that stands for an empty table.
const EMPTY: &[u8] = b" is empty\n";
const HEAD: &[u8] = b"Netns";

/// What the first lines of a display are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A title, the names of columns, and rows; then perhaps another table.
    Titled,
    /// The names of columns, and rows.
    Headed,
    /// A title, and blocks without names of columns.
    Blocks,
}

/// The width of the column with these labels.
pub fn width<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> usize {
    let mut cell = Vec::new();
    let widths = labels.into_iter().map(|label| {
        cell.clear();
        escaped(&mut cell, label);
        super::text::columns(&cell)
    });
    widths.max().unwrap_or(0).max(HEAD.len())
}

/// Appends the text of a display with the column before each line but titles and empty ones.
pub fn column(out: &mut Vec<u8>, text: &[u8], label: &[u8], width: usize, shape: Shape) {
    let mut head = shape == Shape::Headed;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let title = TITLES.iter().any(|title| line.starts_with(title)) && !line.ends_with(EMPTY);
        if title || line == b"\n" {
            out.extend_from_slice(line);
            head = title && shape != Shape::Blocks;
            continue;
        }
        if line.starts_with(b"---") {
            let start = out.len();
            out.resize(start + width, b'-');
            out.push(b' ');
        } else if head {
            self::head(out, width);
        } else {
            cell(out, label, width);
        }
        out.extend_from_slice(line);
        head = false;
    }
}

/// Appends the column's name.
pub fn head(out: &mut Vec<u8>, width: usize) {
    cell(out, HEAD, width);
}

/// Appends a cell of the column.
pub fn cell(out: &mut Vec<u8>, label: &[u8], width: usize) {
    let start = out.len();
    escaped(out, label);
    left(out, start, width);
    out.push(b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_but_titles_has_its_namespace() {
        let text = b"Kernel IP routing table\nDestination Gateway\n0.0.0.0 10.0.0.1\n\n10.0.0.0 *\n";
        let mut out = Vec::new();
        column(&mut out, text, b"bl\x1bue", width([&b"bl\x1bue"[..], b"x"]), Shape::Titled);
        let shown = String::from_utf8(out).unwrap();
        let wanted = "Kernel IP routing table\nNetns    Destination Gateway\n\
            bl\\x1bue 0.0.0.0 10.0.0.1\n\nbl\\x1bue 10.0.0.0 *\n";
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_rule_goes_on_to_the_left() {
        let mut out = Vec::new();
        let text = b"IPv6/IPv4 Group Memberships\nInterface RefCnt\n--------- ------\nlo 1\n";
        column(&mut out, text, b"web", width([&b"web"[..]]), Shape::Titled);
        let wanted =
            b"IPv6/IPv4 Group Memberships\nNetns Interface RefCnt\n----- --------- ------\nweb   lo 1\n";
        assert_eq!(out, wanted);
    }

    #[test]
    fn what_has_no_title_has_a_head_and_what_is_empty_a_label() {
        let shown = |text: &[u8], shape| {
            let mut out = Vec::new();
            column(&mut out, text, b"web", 5, shape);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(b"Name Mtu\nlo 9\n", Shape::Headed), "Netns Name Mtu\nweb   lo 9\n");
        assert_eq!(
            shown(b"\nIPv4 Virtual Interface Table is empty\n", Shape::Titled),
            "\nweb   IPv4 Virtual Interface Table is empty\n"
        );
        assert_eq!(
            shown(b"Kernel Interface table\nlo: flags=1\n  inet 1\n", Shape::Blocks),
            "Kernel Interface table\nweb   lo: flags=1\nweb     inet 1\n"
        );
        assert_eq!(
            shown(b"Routing tables\n\nInternet:\nDestination\n10/8\n", Shape::Titled),
            "Routing tables\n\nInternet:\nNetns Destination\nweb   10/8\n"
        );
    }
}
