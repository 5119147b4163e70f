//! Turns Telegram's entities (ranges of a text in UTF-16 units) into Markdown. Pure.
use super::update::{number, text};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

/// The text of a message, or what stands below its picture, in Markdown; none if there is none.
pub fn text_of(message: &Value) -> Option<String> {
    [("text", "entities"), ("caption", "caption_entities")].iter().find_map(|(words, entities)| {
        let entities = message.get(entities).and_then(Value::as_array);
        Some(markdown(text(message, words)?, entities.map_or(&[], Vec::as_slice)))
    })
}

/// The text with its entities as Markdown. What looks like Markdown without being an entity stays as it was written: it is read by
/// programs, too. Entities that do not fit the text are left out.
pub fn markdown(text: &str, entities: &[Value]) -> String {
    let places = places(text);
    let mut marks: Vec<Mark> =
        entities.iter().filter_map(|entity| range(entity, &places).map(|range| marks(text, entity, range))).flatten().collect();
    marks.retain(|mark| !mark.range.is_empty());
    // The sign of a quotation begins the line, whatever else does.
    marks.sort_by_key(|mark| (mark.range.start, !mark.before.starts_with('>'), Reverse(mark.range.end)));
    // What began last ends first; what ends here ends before another begins.
    let mut cuts: Vec<(usize, bool, Reverse<usize>, String)> = Vec::new();
    for (order, mark) in marks.into_iter().enumerate() {
        cuts.push((mark.range.end, false, Reverse(order), mark.after));
        cuts.push((mark.range.start, true, Reverse(usize::MAX - order), mark.before));
    }
    cuts.sort();
    let (mut written, mut at) = (String::with_capacity(text.len()), 0);
    for (place, _, _, mark) in cuts {
        written.push_str(text.get(at..place).unwrap_or_default());
        written.push_str(&mark);
        at = place;
    }
    written.push_str(text.get(at..).unwrap_or_default());
    written
}

/// A range of the text and what to write around it.
struct Mark {
    range: Range<usize>,
    before: String,
    after: String,
}

/// Where each UTF-16 unit that begins a character stands in the text, and the end.
fn places(text: &str) -> HashMap<usize, usize> {
    let mut unit = 0;
    let mut places = HashMap::with_capacity(text.len() + 1);
    for (place, letter) in text.char_indices() {
        places.insert(unit, place);
        unit += letter.len_utf16();
    }
    places.insert(unit, text.len());
    places
}

fn range(entity: &Value, places: &HashMap<usize, usize>) -> Option<Range<usize>> {
    let start = usize::try_from(number(entity, "offset")?).ok()?;
    let end = start.checked_add(usize::try_from(number(entity, "length")?).ok()?)?;
    Some(*places.get(&start)?..*places.get(&end)?)
}

fn marks(text: &str, entity: &Value, range: Range<usize>) -> Vec<Mark> {
    let word = |name: &str| self::text(entity, name).unwrap_or_default();
    let around = |mark: &str| lines(text, range.clone()).map(|range| Mark { range, before: mark.into(), after: mark.into() }).collect();
    match word("type") {
        "bold" => around("**"),
        "italic" => around("*"),
        "strikethrough" => around("~~"),
        "code" => around("`"),
        "pre" => {
            let breaks = |is_there: bool| if is_there { "" } else { "\n" };
            let (before, within) = (text.get(..range.start).unwrap_or_default(), text.get(range.clone()).unwrap_or_default());
            let after = text.get(range.end..).unwrap_or_default();
            let opens = format!("{}```{}\n", breaks(before.is_empty() || before.ends_with('\n')), word("language"));
            let closes = format!("{}```{}", breaks(within.ends_with('\n')), breaks(after.is_empty() || after.starts_with('\n')));
            vec![Mark { range, before: opens, after: closes }]
        }
        "text_link" => vec![Mark { range, before: "[".into(), after: format!("]({})", word("url")) }],
        "blockquote" | "expandable_blockquote" => {
            lines(text, range).map(|range| Mark { range, before: "> ".into(), after: String::new() }).collect()
        }
        // What stands in the text as it is (addresses, names, numbers, commands), and what Markdown has no word for.
        _ => Vec::new(),
    }
}

/// The lines of a range, without the blanks around them: Markdown knows no emphasis over several paragraphs, or next to a blank.
fn lines(text: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let start = range.start;
    let within = text.get(range).unwrap_or_default();
    within.split('\n').scan(start, |at, line| {
        let from = *at;
        *at += line.len() + 1;
        let start = from + (line.len() - line.trim_start().len());
        Some(start..start + line.trim().len())
    })
}

#[cfg(test)]
mod tests;
