//! Lays out rows in columns: one line a row, two spaces between columns, no lines between cells.
//!
//! Programs such as `awk` and `grep` can read it, and so can people at 80 columns.

use unicode_width::UnicodeWidthStr as _;

use super::escape::printable;
use super::wrap::{lines, shortened};
use crate::app::logging::Colour;

/// What stands between two columns.
const GAP: &str = "  ";

/// A shorter column would show nothing of a name.
const NARROWEST: usize = 8;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    align: Align,
    fit: Fit,
    shown: Shown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// What happens to a text that is too long for the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It stays as it is.
    Whole,
    /// It is shortened.
    Cut,
    /// It is shortened, if shortening the other columns is not enough.
    CutLast,
    /// It continues on the next line.
    Wrap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Always,
    /// Only if everything is shown.
    Wide,
}

impl Column {
    /// A column with this title, or without titles if no column has one. Its texts start at the left, and are never broken.
    pub(crate) const fn new(title: &'static str) -> Self {
        Self { title, align: Align::Left, fit: Fit::Whole, shown: Shown::Always }
    }

    /// The column, with texts that end at the right: numbers.
    pub(crate) const fn right(self) -> Self {
        Self { align: Align::Right, ..self }
    }

    /// The column, with texts that are shortened if they do not fit the terminal.
    pub(crate) const fn cut(self) -> Self {
        Self { fit: Fit::Cut, ..self }
    }

    /// The column, with texts that are shortened only if the table does not fit the terminal with all others shortened:
    /// names that a person has to type again.
    pub(crate) const fn cut_last(self) -> Self {
        Self { fit: Fit::CutLast, ..self }
    }

    /// The column, with prose that continues on the next line if it does not fit the terminal.
    pub(crate) const fn wrapped(self) -> Self {
        Self { fit: Fit::Wrap, ..self }
    }

    /// The column, if everything is shown.
    pub(crate) const fn wide(self) -> Self {
        Self { shown: Shown::Wide, ..self }
    }
}

/// A text in a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

/// What a person should think of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Caution,
    Bad,
}

impl Tone {
    /// The numbers of the ANSI escape sequences that start and end it.
    const fn colours(self) -> Option<(u8, u8)> {
        match self {
            Self::Plain => None,
            Self::Good => Some((32, 39)),
            Self::Caution => Some((33, 39)),
            Self::Bad => Some((31, 39)),
        }
    }
}

/// The escape sequences of a title.
const BOLD: (u8, u8) = (1, 22);

impl Cell {
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// A level of risk.
    pub(crate) fn level(level: &str) -> Self {
        let tone = match level {
            "high" | "unknown" => Tone::Bad,
            "medium" => Tone::Caution,
            _ => Tone::Plain,
        };
        Self::toned(level, tone)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// How much of a table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What fits this many columns, if the output is a terminal.
    Fitting(Option<usize>),
    /// Everything.
    Wide,
}

/// The rows under their titles. `rows` have one cell per column.
pub(crate) fn table(columns: &[Column], rows: &[Vec<Cell>], extent: Extent, colour: Colour) -> String {
    let shown: Vec<usize> = (0..columns.len())
        .filter(|at| extent == Extent::Wide || columns.get(*at).is_some_and(|c| c.shown == Shown::Always))
        .collect();
    let columns: Vec<Column> = shown.iter().filter_map(|at| columns.get(*at).copied()).collect();
    let cells = |row: &Vec<Cell>| -> Vec<Cell> {
        let cells = shown.iter().filter_map(|at| row.get(*at));
        cells.map(|cell| Cell { text: printable(&cell.text), ..*cell }).collect()
    };
    let rows: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
    let layout = Layout { widths: widths(&columns, &rows, extent), columns, colour };
    let mut text = String::new();
    if layout.columns.iter().any(|column| !column.title.is_empty()) {
        let titles: Vec<Cell> = layout.columns.iter().map(|column| column.title.into()).collect();
        layout.line(&mut text, &titles, |_| Some(BOLD));
    }
    for row in &rows {
        layout.row(&mut text, row);
    }
    text
}

/// The width of each column. If the terminal is too narrow, the widest column that may become narrower does; those that are cut
/// last only after the others.
fn widths(columns: &[Column], rows: &[Vec<Cell>], extent: Extent) -> Vec<usize> {
    let of_cells = |at: usize| rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.text.width());
    let mut widths: Vec<usize> = (0..columns.len())
        .zip(columns)
        .map(|(at, column)| of_cells(at).chain([column.title.width()]).max().unwrap_or(0))
        .collect();
    let Extent::Fitting(Some(terminal)) = extent else { return widths };
    let mut excess =
        (widths.iter().sum::<usize>() + GAP.len() * columns.len().saturating_sub(1)).saturating_sub(terminal);
    while excess > 0 {
        let elastic = widths.iter_mut().zip(columns);
        let elastic = elastic.filter(|(width, column)| column.fit != Fit::Whole && **width > NARROWEST);
        let order = |(width, column): &(&mut usize, &Column)| (column.fit != Fit::CutLast, **width);
        let Some((widest, _)) = elastic.max_by_key(order) else { break };
        // A text that is wider than the terminal alone loses all of that at once.
        let step = widest.saturating_sub(terminal).clamp(1, excess).min(*widest - NARROWEST);
        *widest -= step;
        excess -= step;
    }
    widths
}

struct Layout {
    columns: Vec<Column>,
    widths: Vec<usize>,
    colour: Colour,
}

impl Layout {
    /// A row: one line, or several if it has prose that is too long for one.
    fn row(&self, text: &mut String, row: &[Cell]) {
        let parts = row.iter().zip(&self.columns).zip(&self.widths).map(|((cell, column), width)| {
            let parts = match column.fit {
                Fit::Whole => vec![cell.text.clone()],
                Fit::Cut | Fit::CutLast => vec![shortened(&cell.text, *width)],
                Fit::Wrap => lines(&cell.text, *width, ""),
            };
            parts.into_iter()
        });
        let mut parts: Vec<_> = parts.collect();
        let height = parts.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        for _ in 0..height {
            let cells: Vec<Cell> = parts
                .iter_mut()
                .zip(row)
                .map(|(parts, cell)| Cell::toned(parts.next().unwrap_or_default(), cell.tone))
                .collect();
            self.line(text, &cells, |cell| cell.tone.colours());
        }
    }

    fn line(&self, text: &mut String, cells: &[Cell], colours: impl Fn(&Cell) -> Option<(u8, u8)>) {
        let mut line = String::new();
        for ((cell, column), width) in cells.iter().zip(&self.columns).zip(&self.widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let padding = " ".repeat(width.saturating_sub(cell.text.width()));
            let shown = match (self.colour, colours(cell)) {
                (Colour::On, Some((start, end))) if !cell.text.is_empty() => {
                    format!("\u{1b}[{start}m{}\u{1b}[{end}m", cell.text)
                }
                _ => cell.text.clone(),
            };
            match column.align {
                Align::Left => line.extend([shown, padding]),
                Align::Right => line.extend([padding, shown]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("LEVEL"),
        Column::new("EVENTS").right(),
        Column::new("NAME").cut(),
        Column::new("EMAIL").cut(),
        Column::new("ID").wide(),
    ];

    fn rows() -> Vec<Vec<Cell>> {
        let row = |level: &str, events: &str, name: &str, email: &str| {
            vec![Cell::level(level), events.into(), name.into(), email.into(), "4cfe8442".into()]
        };
        vec![row("high", "12", "Ann Lee", "ann.lee@example.com"), row("low", "3", "日本 語", "")]
    }

    fn shown(extent: Extent) -> String {
        table(COLUMNS, &rows(), extent, Colour::Off)
    }

    #[test]
    fn a_row_is_one_line_and_numbers_end_at_the_right() {
        let wanted = "LEVEL  EVENTS  NAME     EMAIL\n\
                      high       12  Ann Lee  ann.lee@example.com\n\
                      low         3  日本 語\n";
        assert_eq!(shown(Extent::Fitting(None)), wanted);
        assert_eq!(shown(Extent::Fitting(Some(43))), wanted, "it fits exactly");
        let wide = "LEVEL  EVENTS  NAME     EMAIL                ID\n\
                    high       12  Ann Lee  ann.lee@example.com  4cfe8442\n\
                    low         3  日本 語                       4cfe8442\n";
        assert_eq!(shown(Extent::Wide), wide);
    }

    #[test]
    fn the_widest_text_is_shortened_until_the_line_fits() {
        for width in 33..43 {
            let shown = shown(Extent::Fitting(Some(width)));
            let longest = shown.lines().map(|line| line.width()).max().unwrap();
            assert_eq!(longest, width, "{shown}");
            assert!(shown.contains("Ann Lee  ann.lee") && shown.contains('…'), "{shown}");
        }
        // What may not be shortened, and eight columns of the rest.
        let narrowest = shown(Extent::Fitting(Some(1)));
        assert!(narrowest.contains("high       12  Ann Lee  ann.lee…\n"), "{narrowest}");
        let long = "x".repeat(1_000_000);
        let rows = [vec!["".into(), "".into(), long.into(), "".into(), "".into()]];
        let shown = table(COLUMNS, &rows, Extent::Fitting(Some(80)), Colour::Off);
        assert!(shown.lines().all(|line| line.width() <= 80), "{shown}");
    }

    #[test]
    fn what_is_cut_last_is_whole_until_nothing_else_can_be_shorter() {
        let columns = [Column::new("ACCOUNT").cut_last(), Column::new("NAME").cut(), Column::new("ID")];
        let rows = [vec!["a-long-alias-of-an-account".into(), "Ann Lee of Leeds".into(), "4cfe".into()]];
        for (width, wanted) in [
            (50, "a-long-alias-of-an-account  Ann Lee of Leeds  4cfe"),
            (45, "a-long-alias-of-an-account  Ann Lee of…  4cfe"),
            (42, "a-long-alias-of-an-account  Ann Lee…  4cfe"),
            (40, "a-long-alias-of-an-acco…  Ann Lee…  4cfe"),
            (1, "a-long-…  Ann Lee…  4cfe"),
        ] {
            let shown = table(&columns, &rows, Extent::Fitting(Some(width)), Colour::Off);
            assert_eq!(shown.lines().nth(1), Some(wanted), "{width}");
        }
    }

    #[test]
    fn prose_continues_below_itself() {
        let columns = [Column::new("A"), Column::new("PROSE").wrapped()];
        let rows = [vec!["1".into(), "one two three four".into()], vec!["2".into(), "five".into()]];
        let shown = table(&columns, &rows, Extent::Fitting(Some(14)), Colour::Off);
        assert_eq!(shown, "A  PROSE\n1  one two\n   three four\n2  five\n");
    }

    #[test]
    fn a_table_without_titles_has_no_line_for_them() {
        let columns = [Column::new(""), Column::new("")];
        let rows = [vec!["tenant URL".into(), "x".into()], vec!["id".into(), "y".into()]];
        assert_eq!(table(&columns, &rows, Extent::Wide, Colour::Off), "tenant URL  x\nid          y\n");
    }

    #[test]
    fn colours_change_no_width() {
        let coloured = table(COLUMNS, &rows(), Extent::Wide, Colour::On);
        assert!(coloured.contains("\u{1b}[31mhigh\u{1b}[39m "), "{coloured:?}");
        let mut plain = coloured;
        for escape in ["\u{1b}[1m", "\u{1b}[22m", "\u{1b}[31m", "\u{1b}[39m"] {
            plain = plain.replace(escape, "");
        }
        assert_eq!(plain, shown(Extent::Wide));
    }
}
