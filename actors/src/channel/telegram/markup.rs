//! Turns the Markdown of agents into the HTML that Telegram understands, in pieces that it takes. Pure.
//!
//! Limits count what is left when the tags are gone, in UTF-16 units. So the text is kept apart from its styles, cut where it may
//! be cut, and each piece opens and closes its own tags.
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::borrow::Cow;
use std::ops::Range;

/// A text and how its parts look.
#[derive(Debug, Default)]
pub struct Styled {
    text: String,
    /// Where each run ends, and its styles from the outside inwards.
    runs: Vec<(usize, Vec<Style>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Style {
    Bold,
    Italic,
    Strike,
    Quote,
    Link(String),
    Code,
    Block(String),
}

impl Styled {
    /// Reads Markdown. HTML in it is text, lines break where the agent broke them, and what Telegram has no form for (headings,
    /// lists, rules) is written with letters.
    pub fn read(markdown: &str) -> Self {
        let mut reader = Reader::default();
        for event in Parser::new_ext(markdown, Options::ENABLE_STRIKETHROUGH) {
            reader.take(event);
        }
        let mut styled = reader.styled;
        if styled.text.trim().is_empty() {
            // Markdown hides some lines (the targets of links): better as they stand than not at all.
            styled = Styled::default();
            styled.push(markdown, &[]);
        }
        styled
    }

    /// Whether there is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// How long it is for Telegram.
    pub fn units(&self) -> usize {
        units(&self.text)
    }

    /// The whole as HTML.
    pub fn html(&self) -> String {
        self.html_of(0..self.text.len())
    }

    /// The whole as HTML in pieces of at most so many UTF-16 units: cut between paragraphs or lines if there are any in the
    /// second half of a piece, else between words, else anywhere between characters.
    pub fn pieces(&self, limit: usize) -> Vec<String> {
        let (mut pieces, mut at) = (Vec::new(), 0);
        while let Some(rest) = self.text.get(at..).filter(|rest| !rest.is_empty()) {
            let end = at + cut(rest, limit);
            if self.text.get(at..end).is_some_and(|piece| !piece.trim().is_empty()) {
                pieces.push(self.html_of(at..end));
            }
            at = end;
        }
        pieces
    }

    fn push(&mut self, text: &str, styles: &[Style]) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        match self.runs.last_mut() {
            Some((end, last)) if last == styles => *end = self.text.len(),
            _ => self.runs.push((self.text.len(), styles.to_vec())),
        }
    }

    fn html_of(&self, range: Range<usize>) -> String {
        let (mut html, mut open, mut start): (String, &[Style], usize) = (String::new(), &[], 0);
        for (end, styles) in &self.runs {
            let (from, to) = (start.max(range.start), (*end).min(range.end));
            start = *end;
            let Some(text) = self.text.get(from..to.max(from)).filter(|text| !text.is_empty()) else { continue };
            let same = open.iter().zip(styles).take_while(|(before, now)| before == now).count();
            open.iter().skip(same).rev().for_each(|style| html.push_str(style.closes()));
            styles.iter().skip(same).for_each(|style| html.push_str(&style.opens()));
            html.push_str(&escaped(text));
            open = styles;
        }
        open.iter().rev().for_each(|style| html.push_str(style.closes()));
        html
    }
}

impl Style {
    fn opens(&self) -> Cow<'static, str> {
        match self {
            Style::Bold => "<b>".into(),
            Style::Italic => "<i>".into(),
            Style::Strike => "<s>".into(),
            Style::Quote => "<blockquote>".into(),
            Style::Link(url) => format!("<a href=\"{}\">", escaped(url)).into(),
            Style::Code => "<code>".into(),
            Style::Block(language) if language.is_empty() => "<pre>".into(),
            Style::Block(language) => format!("<pre><code class=\"language-{}\">", escaped(language)).into(),
        }
    }

    fn closes(&self) -> &'static str {
        match self {
            Style::Bold => "</b>",
            Style::Italic => "</i>",
            Style::Strike => "</s>",
            Style::Quote => "</blockquote>",
            Style::Link(_) => "</a>",
            Style::Code => "</code>",
            Style::Block(language) if language.is_empty() => "</pre>",
            Style::Block(_) => "</code></pre>",
        }
    }
}

/// The length of a text for Telegram.
pub fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What HTML gives a meaning to, as text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Where to cut the first piece off.
fn cut(text: &str, limit: usize) -> usize {
    let mut left = limit;
    let fits = |(_, letter): &(usize, char)| match left.checked_sub(letter.len_utf16()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let whole = text.char_indices().take_while(fits).last().map_or(0, |(place, letter)| place + letter.len_utf8());
    if whole == text.len() {
        return whole;
    }
    let window = text.get(..whole).unwrap_or_default();
    let half = window.len() / 2;
    let after = |separator: &str| window.rfind(separator).map(|place| place + separator.len()).filter(|end| *end > half);
    let cut = after("\n\n").or_else(|| after("\n")).or_else(|| after(" "));
    // At least one character, so that it comes to an end.
    cut.unwrap_or(whole).max(text.chars().next().map_or(0, char::len_utf8))
}

/// Reads the events of Markdown one after the other.
#[derive(Default)]
struct Reader {
    styled: Styled,
    styles: Vec<Style>,
    /// The lists that are open: the next number of an ordered one.
    lists: Vec<Option<u64>>,
    /// What to put before the next text of a block: line breaks, and the sign of an item.
    pending: String,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.write(&text, None),
            Event::Code(text) => self.write(&text, Some(Style::Code)),
            Event::SoftBreak | Event::HardBreak => self.write("\n", None),
            Event::Rule => {
                self.block();
                self.write("———", None);
            }
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => self.write(&text, None),
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.block(),
            Tag::Heading { .. } => {
                self.block();
                self.styles.push(Style::Bold);
            }
            Tag::BlockQuote(_) => {
                self.block();
                self.styles.push(Style::Quote);
            }
            Tag::CodeBlock(kind) => {
                self.block();
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.styles.push(Style::Block(language));
            }
            Tag::List(first) => {
                // A list within an item begins on the next line.
                if self.lists.is_empty() {
                    self.block();
                }
                self.lists.push(first);
            }
            Tag::Item => {
                let indent = "  ".repeat(self.lists.len().saturating_sub(1));
                let sign = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let sign = format!("{number}. ");
                        *number = number.saturating_add(1);
                        sign
                    }
                    _ => "• ".to_owned(),
                };
                self.line();
                self.pending.push_str(&indent);
                self.pending.push_str(&sign);
            }
            Tag::Emphasis => self.styles.push(Style::Italic),
            Tag::Strong => self.styles.push(Style::Bold),
            Tag::Strikethrough => self.styles.push(Style::Strike),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.styles.push(Style::Link(dest_url.into_string())),
            _ => {}
        }
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::List(_) => {
                self.lists.pop();
            }
            // An item without a text has its sign nevertheless.
            TagEnd::Item => self.write("", None),
            TagEnd::Heading(_)
            | TagEnd::BlockQuote(_)
            | TagEnd::CodeBlock
            | TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Link
            | TagEnd::Image => {
                if end == TagEnd::CodeBlock && self.styled.text.ends_with('\n') {
                    self.styled.shorten();
                }
                self.styles.pop();
            }
            _ => {}
        }
    }

    /// A block begins: an empty line before it, unless it is the first or begins an item.
    fn block(&mut self) {
        if !self.styled.text.is_empty() && self.pending.is_empty() {
            self.pending = if self.lists.is_empty() { "\n\n".into() } else { "\n".into() };
        }
    }

    fn line(&mut self) {
        if !self.styled.text.is_empty() && !self.pending.starts_with('\n') {
            self.pending.insert(0, '\n');
        }
    }

    fn write(&mut self, text: &str, within: Option<Style>) {
        let pending = std::mem::take(&mut self.pending);
        let sign = pending.trim_start_matches('\n');
        let breaks = pending.get(..pending.len() - sign.len()).unwrap_or_default();
        let quote: Vec<Style> = self.styles().into_iter().filter(|style| *style == Style::Quote).collect();
        let is_within = self.styled.runs.last().is_some_and(|(_, styles)| styles.contains(&Style::Quote));
        self.styled.push(breaks, if is_within { &quote } else { &[] });
        self.styled.push(sign, &quote);
        let mut styles = self.styles();
        if let Some(style) = within {
            // Telegram has nothing within code, and code within nothing but a quotation.
            styles.retain(|style| *style == Style::Quote);
            styles.push(style);
        }
        self.styled.push(text, &styles);
    }

    /// The styles of a text here: none twice, and of code nothing else.
    fn styles(&self) -> Vec<Style> {
        let mut styles: Vec<Style> = Vec::new();
        for style in &self.styles {
            let is_nested_link = matches!(style, Style::Link(_)) && styles.iter().any(|outer| matches!(outer, Style::Link(_)));
            if !styles.contains(style) && !is_nested_link {
                styles.push(style.clone());
            }
        }
        if let Some(block) = styles.iter().find(|style| matches!(style, Style::Block(_))).cloned() {
            styles.retain(|style| *style == Style::Quote);
            styles.push(block);
        }
        styles
    }
}

impl Styled {
    /// Takes the last line break off.
    fn shorten(&mut self) {
        self.text.pop();
        let (end, before) = (self.text.len(), self.runs.iter().rev().nth(1).map_or(0, |(end, _)| *end));
        if before == end {
            self.runs.pop();
        } else if let Some((last, _)) = self.runs.last_mut() {
            *last = end;
        }
    }
}

#[cfg(test)]
mod tests;
