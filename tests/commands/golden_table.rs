//! Tables of the manual that the program determines. `UPDATE_GOLDEN=1 cargo test` writes them.

use std::path::{Path, PathBuf};

/// A table of the manual, and the text around it.
pub(crate) struct GoldenTable {
    path: PathBuf,
    before: String,
    rows: String,
    after: String,
}

impl GoldenTable {
    /// The first table with the header line `header` under the heading `heading`.
    pub(crate) fn read(document: &str, heading: &str, header: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading}"));
        let rule = "---|".repeat(header.matches('|').count() - 1);
        let header = format!("\n{header}\n|{rule}\n");
        let start = start + text[start..].find(&header).unwrap_or_else(|| panic!("{header}")) + header.len();
        let (before, rest) = text.split_at(start);
        let is_row = |line: &&str| line.starts_with('|');
        let length = rest.split_inclusive('\n').take_while(is_row).map(str::len).sum();
        let (rows, after) = rest.split_at(length);
        Self { path, before: before.to_owned(), rows: rows.to_owned(), after: after.to_owned() }
    }

    /// The last cell of the row that begins with this cell.
    pub(crate) fn last_cell(&self, first: &str) -> Option<&str> {
        let row = self.rows.lines().find(|row| row.starts_with(&format!("| {first} |")))?;
        Some(row.strip_suffix(" |")?.rsplit_once("| ")?.1)
    }

    /// Fails unless the table has exactly these rows of cells, in this order.
    pub(crate) fn assert_is<const N: usize>(&self, rows: impl IntoIterator<Item = [String; N]>) {
        let cell = |cell: String| if cell.is_empty() { " ".to_owned() } else { format!(" {cell} ") };
        let wanted: String = rows.into_iter().map(|row| format!("|{}|\n", row.map(cell).join("|"))).collect();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&self.path, format!("{}{wanted}{}", self.before, self.after)).unwrap();
        } else {
            let path = self.path.display();
            assert_eq!(self.rows, wanted, "{path}: UPDATE_GOLDEN=1 writes the table again");
        }
    }
}
