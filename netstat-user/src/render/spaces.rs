//! A column of network namespaces before the text of any display.

use super::text::{escaped, left};

/// How the titles of displays begin. The line that follows a title has the names of columns.
const TITLES: [&[u8]; 4] = [b"Kernel I", b"IPv6/IPv4 ", b"IPv4 Group ", b"IPv6 Group "];
const MASQUERADE: &[u8] = b"IP masquerading ";
const HEAD: &[u8] = b"Netns";

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
pub fn column(out: &mut Vec<u8>, text: &[u8], label: &[u8], width: usize) {
    let mut head = false;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let title = TITLES.iter().any(|title| line.starts_with(title)) || line.starts_with(MASQUERADE);
        if title || line == b"\n" {
            out.extend_from_slice(line);
            head = title;
            continue;
        }
        let start = out.len();
        if line.starts_with(b"---") {
            out.resize(start + width, b'-');
        } else if head {
            out.extend_from_slice(HEAD);
        } else {
            escaped(out, label);
        }
        left(out, start, width);
        out.push(b' ');
        out.extend_from_slice(line);
        head = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_but_titles_has_its_namespace() {
        let text = b"Kernel IP routing table\nDestination Gateway\n0.0.0.0 10.0.0.1\n\n10.0.0.0 *\n";
        let mut out = Vec::new();
        column(&mut out, text, b"bl\x1bue", width([&b"bl\x1bue"[..], b"x"]));
        let shown = String::from_utf8(out).unwrap();
        let wanted = "Kernel IP routing table\nNetns    Destination Gateway\n\
            bl\\x1bue 0.0.0.0 10.0.0.1\n\nbl\\x1bue 10.0.0.0 *\n";
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_rule_goes_on_to_the_left() {
        let mut out = Vec::new();
        let text = b"IPv6/IPv4 Group Memberships\nInterface RefCnt\n--------- ------\nlo 1\n";
        column(&mut out, text, b"web", width([&b"web"[..]]));
        let wanted =
            b"IPv6/IPv4 Group Memberships\nNetns Interface RefCnt\n----- --------- ------\nweb   lo 1\n";
        assert_eq!(out, wanted);
    }
}
