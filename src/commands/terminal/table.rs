//! Results as a table, as JSON, or as CSV.
//!
//! Names, addresses and details may hold any text. None of the three formats writes control characters to a terminal,
//! and no CSV cell starts a formula.

use clap::ValueEnum;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use crate::app::logging::Colour;

/// A UUID has 36 characters, with a space on each side.
const ID_WIDTH: u16 = 38;

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people.
    Table,
    /// One JSON document.
    Json,
    /// CSV with a header line.
    Csv,
}

/// The width of standard output, if it is a terminal.
pub(crate) fn width() -> Option<u16> {
    Table::new().width()
}

/// An empty table, at most `width` characters wide.
pub(crate) fn table(colour: Colour, width: Option<u16>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .force_no_tty();
    if let Some(width) = width {
        table.set_width(width);
    }
    if colour == Colour::On {
        table.enforce_styling();
    }
    table
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

/// A result: rows and columns, and the same as a JSON document.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// The lines above the table.
    pub(crate) heading: String,
    pub(crate) columns: &'static [Column],
    /// One cell per column.
    pub(crate) rows: Vec<Vec<String>>,
    /// The result as JSON.
    pub(crate) document: String,
}

/// A column, with the name of its field in JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    Plain(&'static str),
    /// If the table is too wide, these columns share one cell, one below the other. An id that is broken over two lines
    /// cannot be copied.
    Stacked(&'static str),
    /// Shown in CSV only, because it is too wide for a table.
    CsvOnly(&'static str),
}

impl Column {
    const fn name(self) -> &'static str {
        let (Self::Plain(name) | Self::Stacked(name) | Self::CsvOnly(name)) = self;
        name
    }
}

impl Sheet {
    pub(crate) fn new<T: Serialize>(
        heading: String,
        columns: &'static [Column],
        rows: Vec<Vec<String>>,
        document: &T,
    ) -> Self {
        Self { heading, columns, rows, document: json(document) }
    }

    pub(crate) fn render(&self, output: Output, colour: Colour, width: Option<u16>) -> String {
        match output {
            Output::Table => self.table(colour, width),
            Output::Json => self.document.clone(),
            Output::Csv => csv(self.columns.iter().map(|column| column.name()), &self.rows),
        }
    }

    /// The heading and the table, at most `width` characters wide.
    pub(crate) fn table(&self, colour: Colour, width: Option<u16>) -> String {
        let heading = printable_lines(&self.heading);
        if self.rows.is_empty() {
            return format!("{heading}\nnone\n");
        }
        let plain = self.plain(colour, None);
        let too_wide = |width: u16| {
            let line = plain.lines().next().unwrap_or_default();
            line.chars().filter(|letter| *letter == '─' || *letter == '┬').count() + 2 > usize::from(width)
        };
        let table = if width.is_some_and(too_wide) { self.stacked(colour, width) } else { plain };
        format!("{heading}\n{table}\n")
    }

    /// A table with one cell per column.
    fn plain(&self, colour: Colour, width: Option<u16>) -> Table {
        let mut table = table(colour, width);
        let shown = |column: &Column| !matches!(column, Column::CsvOnly(_));
        let columns = self.columns.iter().filter(|column| shown(column));
        table.set_header(columns.map(|column| column.name().replace('_', " ")));
        for row in &self.rows {
            let cells = self.columns.iter().zip(row).filter(|(column, _)| shown(column));
            table.add_row(cells.map(|(_, text)| cell(text)));
        }
        table
    }

    /// A table with all [`Column::Stacked`] in the first cell.
    fn stacked(&self, colour: Colour, width: Option<u16>) -> Table {
        let mut table = table(colour, width);
        table.load_preset(presets::UTF8_FULL);
        let names: Vec<String> = self.columns.iter().map(|column| column.name().replace('_', " ")).collect();
        for (at, texts) in std::iter::once(&names).chain(&self.rows).enumerate() {
            let cells = || self.columns.iter().zip(texts);
            let stack: Vec<String> = cells()
                .filter(|(column, _)| matches!(column, Column::Stacked(_)))
                .map(|(_, text)| printable(text))
                .collect();
            let plain = cells().filter(|(column, _)| matches!(column, Column::Plain(_)));
            let stack = (!stack.is_empty()).then(|| Cell::new(stack.join("\n")));
            let row = stack.into_iter().chain(plain.map(|(_, text)| cell(text)));
            if at == 0 {
                table.set_header(row)
            } else {
                table.add_row(row)
            };
        }
        let with_stack = self.columns.iter().any(|column| matches!(column, Column::Stacked(_)));
        if let Some(first) = table.column_mut(0).filter(|_| with_stack) {
            first.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(ID_WIDTH)));
        }
        table
    }
}

fn cell(text: &str) -> Cell {
    let cell = Cell::new(printable(text));
    match text {
        "high" | "not_done" | "unknown" => cell.fg(Color::Red),
        "medium" | "not_tried" => cell.fg(Color::Yellow),
        "done" => cell.fg(Color::Green),
        _ => cell,
    }
}

/// Several lines, each without control characters.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// `text` with control characters and direction marks escaped, such as `\u{1b}`.
pub(crate) fn printable(text: &str) -> String {
    let letter = |letter: char| match letter {
        letter if is_unprintable(letter) => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(letter).collect()
}

/// Whether it is a control character, a line separator, or a mark that changes the writing direction.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Equivalent JSON without the characters that [`printable`] escapes, except for the line ends between its fields.
fn printable_json(json: &str) -> String {
    let letter = |letter: char| match letter {
        '\n' => "\n".to_owned(),
        // JSON has these characters inside strings only, and their numbers have at most four digits.
        letter if is_unprintable(letter) => format!("\\u{:04x}", u32::from(letter)),
        letter => letter.to_string(),
    };
    json.chars().map(letter).collect()
}

/// A CSV cell that no spreadsheet reads as a formula: it gets an apostrophe if it would start one.
fn formula_safe(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[Column::Plain("name"), Column::CsvOnly("wide_one")];

    fn sheet(name: &str) -> Sheet {
        let rows = vec![vec![name.to_owned(), "w".to_owned()]];
        Sheet::new(format!("account acme\n{name}"), COLUMNS, rows, &json!({ "name": name }))
    }

    #[test]
    fn no_format_writes_control_characters_or_direction_marks() {
        let nasty = "a\u{1b}[31m\u{9b}2J\u{7}\r\u{7f}\u{61c}\u{202e}b";
        for output in [Output::Table, Output::Json, Output::Csv] {
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
    fn a_table_leaves_out_the_columns_for_csv() {
        let shown = sheet("Ann").table(Colour::Off, None);
        assert_eq!(shown, "account acme\nAnn\n┌──────┐\n│ name │\n╞══════╡\n│ Ann  │\n└──────┘\n");
    }
}
