//! Tables in the layout of net-tools: its columns while everything fits, wider ones when a cell needs it.

use super::text;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub title: &'static str,
    /// The least width, net-tools' own.
    pub width: usize,
    /// Its cells stand at the right end.
    pub right: bool,
}

impl Column {
    pub const fn left(title: &'static str, width: usize) -> Self {
        Self { title, width, right: false }
    }

    pub const fn right(title: &'static str, width: usize) -> Self {
        Self { title, width, right: true }
    }
}

/// The cells of one row, in memory that is used again.
#[derive(Debug, Default)]
pub struct Row {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Row {
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Appends a cell that `write` writes.
    pub fn cell(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    pub fn text(&mut self, text: &[u8]) {
        self.cell(|out| out.extend_from_slice(text));
    }

    pub fn number(&mut self, n: impl Into<u64>) {
        self.cell(|out| text::number(out, n.into()));
    }

    /// A number, or `-` when there is none.
    pub fn maybe(&mut self, n: Option<u64>) {
        match n {
            Some(n) => self.number(n),
            None => self.text(b"-"),
        }
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let cell = self.text.get(start..end).unwrap_or_default();
            start = end;
            cell
        })
    }
}

/// The widths of columns, and how to write into them.
#[derive(Clone, Debug)]
pub struct Grid {
    columns: Vec<Column>,
}

impl Grid {
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns }
    }

    /// Makes every column wide enough for this row.
    pub fn measure(&mut self, row: &Row) {
        for (column, cell) in self.columns.iter_mut().zip(row.cells()) {
            column.width = column.width.max(text::columns(cell));
        }
    }

    /// The width of a column.
    pub fn width(&self, at: usize) -> usize {
        self.columns.get(at).map_or(0, |column| column.width)
    }

    /// Appends the titles. A title may be wider than its column (net-tools' `Window` is): the next column at the right
    /// end makes up for it.
    pub fn head(&self, out: &mut Vec<u8>) {
        let mut over = 0;
        for (at, column) in self.columns.iter().enumerate() {
            let mut width = column.width;
            if column.right {
                width = width.saturating_sub(over);
                over = 0;
            }
            over += column.title.len().saturating_sub(width);
            self.put(out, at, width, column.title.as_bytes());
        }
        out.push(b'\n');
    }

    /// Appends a row. A cell that was not measured and is wider moves the rest of its row.
    pub fn row(&self, out: &mut Vec<u8>, row: &Row) {
        for (at, cell) in row.cells().enumerate() {
            self.put(out, at, self.width(at), cell);
        }
        out.push(b'\n');
    }

    /// Appends a cell; the last one is not filled up.
    fn put(&self, out: &mut Vec<u8>, at: usize, width: usize, cell: &[u8]) {
        if at > 0 {
            out.push(b' ');
        }
        let start = out.len();
        out.extend_from_slice(cell);
        match self.columns.get(at) {
            Some(column) if column.right => text::right(out, start, width),
            Some(_) if at + 1 < self.columns.len() => text::left(out, start, width),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(grid: &Grid, rows: &[&[&str]]) -> String {
        let mut out = Vec::new();
        grid.head(&mut out);
        for cells in rows {
            let mut row = Row::default();
            cells.iter().for_each(|cell| row.text(cell.as_bytes()));
            grid.row(&mut out, &row);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn titles_keep_their_place_and_columns_grow() {
        let columns = [
            Column::right("MSS", 5),
            Column::left("Window", 5),
            Column::right("irtt", 6),
            Column::left("Iface", 0),
        ];
        let mut grid = Grid::new(columns.to_vec());
        assert_eq!(
            shown(&grid, &[&["0", "0", "0", "lo"]]),
            "  MSS Window  irtt Iface\n    0 0          0 lo\n"
        );
        let mut row = Row::default();
        ["1234567", "é", "-", "long"].iter().for_each(|cell| row.text(cell.as_bytes()));
        grid.measure(&row);
        assert_eq!(
            shown(&grid, &[&["1234567", "é", "-", "long"]]),
            "    MSS Window  irtt Iface\n1234567 é          - long\n"
        );
    }
}
