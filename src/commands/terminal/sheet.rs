//! A result, in the format that was asked for: a table, JSON, or CSV.
//!
//! Names, addresses and details may hold any text. No format writes control characters to a terminal, and no CSV cell
//! starts a formula.

use clap::ValueEnum;
use serde::Serialize;

use super::escape::{formula_safe, printable, printable_json};
use super::table::{Cell, Column, Extent, table};
use super::wrap::wrapped;
use crate::app::logging::Colour;

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table that fits the terminal.
    Table,
    /// A table with all columns and whole texts.
    Wide,
    /// One JSON document.
    Json,
    /// CSV with a header line.
    Csv,
}

impl Output {
    /// How much of a table is shown on `width` columns.
    pub(crate) const fn extent(self, width: Option<usize>) -> Extent {
        match self {
            Self::Wide => Extent::Wide,
            Self::Table | Self::Json | Self::Csv => Extent::Fitting(width),
        }
    }
}

/// A result.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// The lines above the table.
    pub(crate) heading: String,
    pub(crate) columns: &'static [Column],
    /// The rows of the table: one cell per column.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// The names of the columns in CSV, which are those of the fields in JSON.
    pub(crate) fields: &'static [&'static str],
    /// The rows of the CSV: one text per field.
    pub(crate) records: Vec<Vec<String>>,
    /// The result as JSON, as [`json`] writes it.
    pub(crate) document: String,
}

impl Sheet {
    pub(crate) fn render(&self, output: Output, colour: Colour, width: Option<usize>) -> String {
        match output {
            Output::Table | Output::Wide => self.table(output.extent(width), colour, width),
            Output::Json => self.document.clone(),
            Output::Csv => csv(self.fields.iter().copied(), &self.records),
        }
    }

    /// The heading and the table. The lines of the heading are at most `width` columns wide.
    pub(crate) fn table(&self, extent: Extent, colour: Colour, width: Option<usize>) -> String {
        let heading: Vec<String> = self.heading.lines().map(printable).collect();
        let heading = wrapped(&heading.join("\n"), width);
        let rows = match self.rows.as_slice() {
            [] => "none\n".to_owned(),
            rows => table(self.columns, rows, extent, colour),
        };
        format!("{heading}\n{rows}")
    }
}

/// A document as indented JSON.
pub(crate) fn json(document: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(document).expect("all its maps have string keys");
    format!("{}\n", printable_json(&json))
}

/// A header and rows as CSV.
pub(crate) fn csv<'a>(header: impl IntoIterator<Item = &'a str>, rows: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let in_memory = "writing to memory does not fail, and all rows have as many cells as the header";
    writer.write_record(header).expect(in_memory);
    for row in rows {
        writer.write_record(row.iter().map(|text| formula_safe(&printable(text)))).expect(in_memory);
    }
    String::from_utf8(writer.into_inner().expect(in_memory)).expect("it was made from strings")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[Column::new("NAME"), Column::new("MORE").wide()];

    fn sheet(name: &str) -> Sheet {
        Sheet {
            heading: format!("account acme\n{name}"),
            columns: COLUMNS,
            rows: vec![vec![name.into(), "w".into()]],
            fields: &["name", "wide_one"],
            records: vec![vec![name.to_owned(), "w".to_owned()]],
            document: super::json(&json!({ "name": name })),
        }
    }

    #[test]
    fn no_format_writes_control_characters_or_direction_marks() {
        let nasty = "a\u{1b}[31m\u{9b}2J\u{7}\r\u{7f}\u{61c}\u{202e}b";
        for output in [Output::Table, Output::Wide, Output::Json, Output::Csv] {
            let shown = sheet(nasty).render(output, Colour::Off, None);
            assert!(!shown.contains(['\u{61c}', '\u{202e}']), "{shown:?}");
            assert!(!shown.chars().any(|letter| letter != '\n' && letter.is_control()), "{shown:?}");
            assert!(shown.contains("31m"), "{shown}");
        }
        let json = sheet(nasty).render(Output::Json, Colour::Off, None);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["name"], nasty, "in JSON nothing is lost");
    }

    #[test]
    fn csv_has_a_header_quotes_and_no_formula() {
        for (name, cell) in [
            ("Ann", "Ann"),
            ("Lee, Ann \"A\"", "\"Lee, Ann \"\"A\"\"\""),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\\t=1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            let shown = sheet(name).render(Output::Csv, Colour::Off, None);
            assert_eq!(shown, format!("name,wide_one\n{cell},w\n"), "{name:?}");
        }
    }

    #[test]
    fn wide_shows_every_column_and_shortens_nothing() {
        let shown = |output, width| sheet("Ann Lee").render(output, Colour::Off, width);
        assert_eq!(shown(Output::Table, None), "account acme\nAnn Lee\nNAME\nAnn Lee\n");
        assert_eq!(shown(Output::Wide, Some(5)), "account\n  acme\nAnn\n  Lee\nNAME     MORE\nAnn Lee  w\n");
        let none = Sheet { rows: Vec::new(), ..sheet("Ann") };
        assert_eq!(none.render(Output::Table, Colour::Off, None), "account acme\nAnn\nnone\n");
    }
}
