//! What a command found, as a table for people, as JSON, or as CSV.
//!
//! Names, addresses and details are whatever somebody wrote into them. In none of the three forms do they
//! reach a terminal as control characters, and in CSV none begins a formula.

use clap::ValueEnum;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use crate::app::logging::Colour;

/// A UUID has 36 characters, and stands between two spaces.
const ID_WIDTH: u16 = 38;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// One document.
    Json,
    /// One row a line, below a header.
    Csv,
}

/// How wide standard output is, if it is a terminal.
pub(crate) fn width() -> Option<u16> {
    Table::new().width()
}

/// An empty table at most `width` columns wide.
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

/// A document as JSON in lines.
pub(crate) fn json(document: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(document).expect("the keys of its maps are words");
    format!("{}\n", escaped(&json))
}

/// A header and rows as CSV.
pub(crate) fn csv<'a>(header: impl IntoIterator<Item = &'a str>, rows: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let in_memory = "memory takes whatever is written, and all rows have the header's length";
    writer.write_record(header).expect(in_memory);
    for row in rows {
        writer.write_record(row.iter().map(|text| inert(&visible(text)))).expect(in_memory);
    }
    String::from_utf8(writer.into_inner().expect(in_memory)).expect("it is made of texts")
}

/// What a command found: rows under columns, and the same as a document.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// Stands above the table.
    pub(crate) heading: String,
    pub(crate) columns: &'static [Column],
    /// One text for each column.
    pub(crate) rows: Vec<Vec<String>>,
    /// JSON.
    pub(crate) document: String,
}

/// A column, by the name of the field in JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    Plain(&'static str),
    /// Where the table would be too wide, these stand below each other in one cell: an id that is broken
    /// into pieces cannot be copied.
    Stacked(&'static str),
    /// Too wide for a table.
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

    /// The heading, and the table at most `width` columns wide.
    pub(crate) fn table(&self, colour: Colour, width: Option<u16>) -> String {
        let heading = lines(&self.heading);
        if self.rows.is_empty() {
            return format!("{heading}\nnone\n");
        }
        let beside = self.beside(colour, None);
        let too_wide = |width: u16| {
            let line = beside.lines().next().unwrap_or_default();
            line.chars().filter(|letter| *letter == '─' || *letter == '┬').count() + 2 > usize::from(width)
        };
        let table = if width.is_some_and(too_wide) { self.stacked(colour, width) } else { beside };
        format!("{heading}\n{table}\n")
    }

    /// Each column for itself.
    fn beside(&self, colour: Colour, width: Option<u16>) -> Table {
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

    /// The same with what can stand in one cell in the first.
    fn stacked(&self, colour: Colour, width: Option<u16>) -> Table {
        let mut table = table(colour, width);
        table.load_preset(presets::UTF8_FULL);
        let names: Vec<String> = self.columns.iter().map(|column| column.name().replace('_', " ")).collect();
        for (at, texts) in std::iter::once(&names).chain(&self.rows).enumerate() {
            let cells = || self.columns.iter().zip(texts);
            let stack: Vec<String> = cells()
                .filter(|(column, _)| matches!(column, Column::Stacked(_)))
                .map(|(_, text)| visible(text))
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
    let cell = Cell::new(visible(text));
    match text {
        "high" | "not_done" | "unknown" => cell.fg(Color::Red),
        "medium" | "not_tried" => cell.fg(Color::Yellow),
        "done" => cell.fg(Color::Green),
        _ => cell,
    }
}

/// Several lines, each without control characters.
fn lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// `text` with what a terminal or an eye would not take for text written out: `\u{1b}`.
pub(crate) fn visible(text: &str) -> String {
    let letter = |letter: char| match letter {
        letter if deceives(letter) => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(letter).collect()
}

/// Control characters, line ends, and what turns the direction of writing around.
fn deceives(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that means the same, without what [`visible`] would not leave; its own line ends stay.
fn escaped(json: &str) -> String {
    let letter = |letter: char| match letter {
        '\n' => "\n".to_owned(),
        // Outside of strings JSON has none of these, and all of them have four digits.
        letter if deceives(letter) => format!("\\u{:04x}", u32::from(letter)),
        letter => letter.to_string(),
    };
    json.chars().map(letter).collect()
}

/// A cell that no spreadsheet takes for a formula: an apostrophe stands before what would begin one.
fn inert(text: &str) -> String {
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
    fn no_form_lets_a_control_character_or_a_turn_of_direction_through() {
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
    fn a_table_has_only_the_columns_that_fit_one() {
        let shown = sheet("Ann").table(Colour::Off, None);
        assert_eq!(shown, "account acme\nAnn\n┌──────┐\n│ name │\n╞══════╡\n│ Ann  │\n└──────┘\n");
    }
}
