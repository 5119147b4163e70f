//! The text of HTML, with marks for lists and quotations only: link targets and emphasis would drown what a mail says.
use html2text::render::TextDecorator;

/// The text of cleaned HTML, line by line.
pub fn to_text(clean_html: &str) -> String {
    let text = html2text::config::with_decorator(Plain)
        .raw_mode(true)
        .allow_width_overflow()
        .string_from_read(clean_html.as_bytes(), 10_000)
        .unwrap_or_default();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[derive(Clone, Debug)]
struct Plain;

impl TextDecorator for Plain {
    type Annotation = ();

    fn decorate_link_start(&mut self, _: &str) -> (String, ()) {
        Default::default()
    }

    fn decorate_link_end(&mut self) -> String {
        String::new()
    }

    fn decorate_em_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_em_end(&self) -> String {
        String::new()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strong_end(&self) -> String {
        String::new()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _: &str, title: &str) -> (String, ()) {
        (title.to_owned(), ())
    }

    fn header_prefix(&self, _: usize) -> String {
        String::new()
    }

    fn quote_prefix(&self) -> String {
        "> ".into()
    }

    fn unordered_item_prefix(&self) -> String {
        "- ".into()
    }

    fn ordered_item_prefix(&self, number: i64) -> String {
        format!("{number}. ")
    }

    fn make_subblock_decorator(&self) -> Self {
        Plain
    }

    fn decorate_superscript_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_superscript_end(&self) -> String {
        String::new()
    }

    fn finalise(&mut self, _: Vec<String>) -> Vec<html2text::render::TaggedLine<()>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_lines_and_no_markup() {
        for (html, text) in [
            ("<p>One &amp; two</p><p>Three<br>four</p>", "One & two\n\nThree\nfour"),
            ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
            ("<h1>Title</h1><p>x<sup>2</sup> <b>bold</b> <i>slant</i> <code>code</code></p>", "Title\n\nx² bold slant code"),
            ("<a href=\"https://shop.example/\">shop</a> <img alt=\"logo\" src=\"cid:x\">", "shop logo"),
            ("<blockquote>old</blockquote>", "> old"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a\nb\nc"),
            ("<pre>a\n  b</pre>", "a\n  b"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), text, "{html}");
        }
    }
}
