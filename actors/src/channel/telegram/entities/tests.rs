//! Texts with their entities, and the Markdown of them.
use super::*;
use serde_json::json;

fn entity(kind: &str, offset: usize, length: usize) -> Value {
    json!({ "type": kind, "offset": offset, "length": length })
}

#[test]
fn entities_become_markdown() {
    let link = json!({ "type": "text_link", "offset": 4, "length": 4, "url": "https://shop.example/a" });
    let rust = json!({ "type": "pre", "offset": 4, "length": 9, "language": "rust" });
    for (text, entities, expected) in [
        ("plain *as* written", vec![], "plain *as* written"),
        ("one two", vec![entity("bold", 0, 3)], "**one** two"),
        ("one two", vec![entity("italic", 4, 3)], "one *two*"),
        ("one two", vec![entity("strikethrough", 0, 7)], "~~one two~~"),
        ("run ls now", vec![entity("code", 4, 2)], "run `ls` now"),
        // Two units each, and one of several letters.
        ("👋👋 one", vec![entity("bold", 5, 3)], "👋👋 **one**"),
        ("ä👨‍👩‍👧 one", vec![entity("bold", 10, 3)], "ä👨‍👩‍👧 **one**"),
        // Nested and side by side.
        ("one two", vec![entity("bold", 0, 7), entity("italic", 4, 3)], "**one *two***"),
        ("one two", vec![entity("bold", 0, 7), entity("italic", 0, 7)], "***one two***"),
        ("onetwo", vec![entity("bold", 0, 3), entity("code", 3, 3)], "**one**`two`"),
        // No blanks at the edges, no line breaks within.
        ("one two", vec![entity("bold", 0, 4)], "**one** two"),
        ("one\n\ntwo", vec![entity("bold", 0, 8)], "**one**\n\n**two**"),
        ("see here", vec![link.clone()], "see [here](https://shop.example/a)"),
        ("see here", vec![link, entity("bold", 4, 4)], "see [**here**](https://shop.example/a)"),
        ("see\nfn a() {}\nend", vec![rust], "see\n```rust\nfn a() {}\n```\nend"),
        ("see code", vec![entity("pre", 4, 4)], "see \n```\ncode\n```"),
        ("a\nb\nc", vec![entity("blockquote", 0, 3)], "> a\n> b\nc"),
        ("a b", vec![entity("bold", 0, 3), entity("blockquote", 0, 3)], "> **a b**"),
        // Without a word for it, or not of this text.
        ("one two", vec![entity("spoiler", 0, 3), entity("mention", 4, 3), entity("news", 0, 1)], "one two"),
        ("one", vec![entity("bold", 0, 99), entity("bold", 99, 1), entity("bold", 1, 0)], "one"),
        ("👋", vec![entity("bold", 1, 1)], "👋"),
    ] {
        assert_eq!(markdown(text, &entities), expected, "{text:?} {entities:?}");
    }
}
