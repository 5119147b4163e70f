//! Markdown of agents in WhatsApp's own marks, and texts that are longer than a message may be. Pure.
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

/// Markdown in WhatsApp's marks: `*bold*`, `_italic_`, `~struck~`, `` `code` ``. Links stand behind their text; HTML is text.
pub fn marked(markdown: &str) -> String {
    let mut writer = Writer::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_STRIKETHROUGH) {
        writer.event(event);
    }
    writer.out.trim().to_owned()
}

/// Cuts a text into pieces of at most `limit` characters: between lines where that is possible, else between words.
pub fn split(text: &str, limit: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while let Some((end, _)) = rest.char_indices().nth(limit) {
        let head = rest.get(..end).unwrap_or(rest);
        // Not so early that the pieces become many.
        let earliest = head.char_indices().nth(limit / 2).map_or(0, |(index, _)| index);
        let cut = ["\n\n", "\n", " "].iter().find_map(|mark| head.rfind(mark).filter(|index| *index >= earliest)).unwrap_or(end);
        let (piece, after) = rest.split_at(cut);
        pieces.push(piece.trim_end().to_owned());
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// How many characters a text has.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Lines to end before the next text.
    breaks: usize,
    quotes: usize,
    /// The next number of each open list; none for one with dashes.
    lists: Vec<Option<u64>>,
    /// Open links: where they lead, and where their text begins.
    links: Vec<(String, usize)>,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.lines(&text),
            Event::Code(code) => self.text(&format!("`{code}`")),
            Event::SoftBreak | Event::HardBreak => self.end_line(1),
            Event::Rule => {
                self.block();
                self.text("---");
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.block(),
            Tag::Heading { .. } => {
                self.block();
                self.text("*");
            }
            Tag::BlockQuote(_) => {
                self.block();
                self.quotes += 1;
            }
            Tag::CodeBlock(_) => {
                self.block();
                self.text("```");
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.block()
                } else {
                    self.end_line(1)
                }
                self.lists.push(first);
            }
            Tag::Item => {
                self.end_line(1);
                let indent = "  ".repeat(self.lists.len().saturating_sub(1));
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}. ");
                        *number = number.saturating_add(1);
                        marker
                    }
                    _ => "- ".to_owned(),
                };
                self.text(&format!("{indent}{marker}"));
            }
            Tag::Emphasis => self.text("_"),
            Tag::Strong => self.text("*"),
            Tag::Strikethrough => self.text("~"),
            Tag::Link { link_type, dest_url, .. } => {
                let is_plain = matches!(link_type, LinkType::Autolink | LinkType::Email);
                self.open_link(if is_plain { String::new() } else { dest_url.into_string() });
            }
            Tag::Image { dest_url, .. } => self.open_link(dest_url.into_string()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.text("*");
                self.end_line(2);
            }
            TagEnd::Paragraph => self.end_line(2),
            TagEnd::BlockQuote(_) => {
                self.quotes = self.quotes.saturating_sub(1);
                self.end_line(2);
            }
            TagEnd::CodeBlock => {
                self.breaks = 0;
                self.text("```");
                self.end_line(2);
            }
            TagEnd::Item => self.end_line(1),
            TagEnd::List(_) => {
                self.lists.pop();
                self.end_line(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::Emphasis => self.text("_"),
            TagEnd::Strong => self.text("*"),
            TagEnd::Strikethrough => self.text("~"),
            TagEnd::Link | TagEnd::Image => {
                let Some((address, begin)) = self.links.pop() else { return };
                let shown = self.out.get(begin..).unwrap_or_default().trim();
                if shown.is_empty() {
                    self.text(&address);
                } else if !address.is_empty() && shown != address {
                    self.text(&format!(" ({address})"));
                }
            }
            _ => {}
        }
    }

    fn open_link(&mut self, address: String) {
        self.flush();
        self.links.push((address, self.out.len()));
    }

    /// A block begins: after an empty line, unless it is the first thing in an item of a list.
    fn block(&mut self) {
        if self.lists.is_empty() {
            self.end_line(2);
        }
    }

    fn end_line(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
    }

    fn lines(&mut self, text: &str) {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.flush();
                self.breaks += 1;
            }
            if !line.is_empty() {
                self.text(line);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.flush();
        self.out.push_str(text);
    }

    /// Ends the lines that are to be ended; nothing at the very beginning.
    fn flush(&mut self) {
        let breaks = std::mem::take(&mut self.breaks);
        if !self.out.is_empty() {
            self.out.extend(std::iter::repeat_n('\n', breaks));
        }
        if self.quotes > 0 && (self.out.is_empty() || self.out.ends_with('\n')) {
            self.out.push_str("> ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_whatsapps_marks() {
        for (markdown, marked_up) in [
            ("plain", "plain"),
            ("two\nlines", "two\nlines"),
            ("one\n\n\n\ntwo", "one\n\ntwo"),
            ("**bold** and *italic* and _also_ and ~~gone~~ and `code`", "*bold* and _italic_ and _also_ and ~gone~ and `code`"),
            ("# Title\ntext", "*Title*\n\ntext"),
            ("- a\n- b\n\nafter", "- a\n- b\n\nafter"),
            ("1. a\n2. b\n   - c", "1. a\n2. b\n  - c"),
            ("3. a\n4. b", "3. a\n4. b"),
            ("> said\n> so\n\nyes", "> said\n> so\n\nyes"),
            ("```\nlet a = 1;\nb\n```\nafter", "```let a = 1;\nb```\n\nafter"),
            ("see [the page](https://shop.example/a_b)", "see the page (https://shop.example/a_b)"),
            ("see [https://shop.example](https://shop.example)", "see https://shop.example"),
            ("see <https://shop.example> or https://shop.example/a_b_c", "see https://shop.example or https://shop.example/a_b_c"),
            ("![](https://shop.example/a.png)", "https://shop.example/a.png"),
            ("a <b>tag</b> & more", "a <b>tag</b> & more"),
            ("<div>\nblock\n</div>", "<div>\nblock\n</div>"),
            ("5 * 3 = 15, a_b_c, #12, +49 30", "5 * 3 = 15, a_b_c, #12, +49 30"),
            ("escaped \\*stars\\*", "escaped *stars*"),
            ("  ", ""),
        ] {
            assert_eq!(marked(markdown), marked_up, "{markdown:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_where_it_hurts_least() {
        for (text, limit, pieces) in [
            ("short", 10, &["short"][..]),
            ("", 10, &[]),
            ("0123456789", 10, &["0123456789"]),
            ("one two three four", 10, &["one two", "three four"]),
            ("line one\nand the next", 12, &["line one", "and the next"]),
            ("0123456789abcdef", 10, &["0123456789", "abcdef"]),
            ("äöüäöüäöüäöü", 10, &["äöüäöüäöüä", "öü"]),
            ("a b\n0123456789", 10, &["a b\n012345", "6789"]),
        ] {
            assert_eq!(split(text, limit), pieces, "{text:?}");
        }
        let long = "word ".repeat(5000);
        let pieces = split(&long, 4096);
        assert!(pieces.len() == 7 && pieces.iter().all(|piece| length(piece) <= 4096), "{}", pieces.len());
        assert_eq!(pieces.join(" "), long.trim());
    }
}
