//! Lines as the text that draws them.

use avt::{Color, Line, Pen, Terminal as Emulator};

/// of the lines above a screen, as much as it brings along
const SCROLLBACK_BYTES: usize = 256 * 1024;

/// The lines above the screen, written and pushed out of it.
pub fn scrollback(emulator: &Emulator) -> String {
    let (_, rows) = emulator.size();
    let lines: Vec<&Line> = emulator.primary_screen().all_lines().collect();
    let above = &lines[..lines.len().saturating_sub(rows)];
    let mut drawn: Vec<String> = Vec::new();
    let mut bytes = 0;
    for line in above.iter().rev() {
        let text = draw(line);
        bytes += text.len();
        if bytes > SCROLLBACK_BYTES {
            break;
        }
        drawn.push(text);
    }
    if drawn.is_empty() {
        return String::new();
    }
    let still_visible = drawn.len().min(rows - 1);
    let mut text: String = drawn.into_iter().rev().collect();
    if !text.ends_with('\n') {
        text.push_str("\r\n"); // it goes on in the screen's first line
    }
    text.push_str(&format!("\x1b[0m\x1b[{rows};1H{}\x1b[H", "\n".repeat(still_visible)));
    text
}

/// Writes repetitions (REP) out, which not every terminal knows.
pub fn spell_out(drawing: &str) -> String {
    let mut text = String::with_capacity(drawing.len());
    let mut pieces = drawing.split("\x1b[");
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|character: char| !character.is_ascii_digit()).unwrap_or(0);
        match (piece[..end].parse(), piece[end..].strip_prefix('b'), text.chars().last()) {
            (Ok(count), Some(rest), Some(last)) => {
                text.extend(std::iter::repeat_n(last, count));
                text.push_str(rest);
            }
            _ => {
                text.push_str("\x1b[");
                text.push_str(piece);
            }
        }
    }
    text
}

fn draw(line: &Line) -> String {
    let cells = line.cells();
    let blank = |cell: &&avt::Cell| cell.char() == ' ' && cell.pen().is_default();
    let end = if line.is_wrapped() { cells.len() } else { cells.len() - cells.iter().rev().take_while(blank).count() };
    let mut text = String::new();
    let mut pen = Pen::default();
    for cell in cells[..end].iter().filter(|cell| cell.width() > 0) {
        if *cell.pen() != pen {
            pen = *cell.pen();
            text.push_str(&select(&pen));
        }
        text.push(cell.char());
    }
    if !pen.is_default() {
        text.push_str("\x1b[0m");
    }
    if !line.is_wrapped() {
        text.push_str("\r\n");
    }
    text
}

/// The sequence that selects a pen.
fn select(pen: &Pen) -> String {
    let mut text = String::from("\x1b[0");
    let attributes = [
        (pen.is_bold(), ";1"),
        (pen.is_faint(), ";2"),
        (pen.is_italic(), ";3"),
        (pen.is_underline(), ";4"),
        (pen.is_blink(), ";5"),
        (pen.is_inverse(), ";7"),
        (pen.is_strikethrough(), ";9"),
    ];
    attributes.iter().filter(|(on, _)| *on).for_each(|(_, code)| text.push_str(code));
    for (kind, color) in [(38, pen.foreground()), (48, pen.background())] {
        match color {
            Some(Color::Indexed(index)) => text.push_str(&format!(";{kind};5;{index}")),
            Some(Color::RGB(rgb)) => text.push_str(&format!(";{kind};2;{};{};{}", rgb.r, rgb.g, rgb.b)),
            None => {}
        }
    }
    text.push('m');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_spelt_out() {
        assert_eq!(spell_out("a\x1b[3b\r\n漢\x1b[1b\x1b[31mx\x1b[2b!"), "aaaa\r\n漢漢\x1b[31mxxx!");
    }
}
