//! Which characters of a text from outside may be shown.

/// Whether a character neither ends a line, nor changes the direction of the text around it, nor is invisible without
/// need. The joiners U+200C and U+200D are allowed, because names in some scripts need them.
pub(crate) fn is_showable(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                // The fillers of Hangul: letters without a shape.
                | '\u{115f}'
                | '\u{1160}'
                | '\u{3164}'
                | '\u{ffa0}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
