//! Markdown of agents, and the HTML that Telegram is sent.
use super::*;

#[test]
fn markdown_becomes_the_html_of_telegram() {
    for (markdown, html) in [
        ("hello", "hello"),
        ("a < b & c > d \"e\"", "a &lt; b &amp; c &gt; d &quot;e&quot;"),
        ("**bold** *italic* ~~gone~~ `x < y`", "<b>bold</b> <i>italic</i> <s>gone</s> <code>x &lt; y</code>"),
        ("**bold *both* bold**", "<b>bold <i>both</i> bold</b>"),
        ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
        ("[shop](https://shop.example/?a=1&b=\"2\")", "<a href=\"https://shop.example/?a=1&amp;b=&quot;2&quot;\">shop</a>"),
        ("[**shop**](https://shop.example)", "<a href=\"https://shop.example\"><b>shop</b></a>"),
        ("**see `code` here**", "<b>see </b><code>code</code><b> here</b>"),
        ("# Title\n\ntext", "<b>Title</b>\n\ntext"),
        ("- one\n- two\n  - three\n- four\n\nend", "• one\n• two\n  • three\n• four\n\nend"),
        ("3. one\n4. two", "3. one\n4. two"),
        ("- \n- two", "• \n• two"),
        ("- one\n\n  more\n- two", "• one\nmore\n• two"),
        ("> one\n> two\n\nend", "<blockquote>one\ntwo</blockquote>\n\nend"),
        ("start\n\n> - one\n> - two", "start\n\n<blockquote>• one\n• two</blockquote>"),
        ("> a\n>\n> > b", "<blockquote>a\n\nb</blockquote>"),
        ("```rust\nlet a = 1 < 2;\n```\nend", "<pre><code class=\"language-rust\">let a = 1 &lt; 2;</code></pre>\n\nend"),
        ("```\na\n\nb\n```", "<pre>a\n\nb</pre>"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        ("<b onclick=1>x</b>", "&lt;b onclick=1&gt;x&lt;/b&gt;"),
        ("<div>\nx\n</div>", "&lt;div&gt;\nx\n&lt;/div&gt;"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("[a]: https://shop.example", "[a]: https://shop.example"),
    ] {
        assert_eq!(Styled::read(markdown).html().trim_end(), html, "{markdown:?}");
    }
    assert!(Styled::read(" \n ").is_empty());
}

#[test]
fn long_texts_are_cut_where_they_may_be() {
    for (markdown, limit, pieces) in [
        ("one two", 7, vec!["one two"]),
        ("one two", 6, vec!["one ", "two"]),
        ("one\ntwo three", 8, vec!["one\ntwo ", "three"]),
        ("one two\nthree four", 10, vec!["one two\n", "three four"]),
        ("one\n\ntwo three", 9, vec!["one\n\n", "two three"]),
        ("abcdefgh", 3, vec!["abc", "def", "gh"]),
        // Two units each: never half of one.
        ("👋👋👋", 3, vec!["👋", "👋", "👋"]),
        ("👋", 1, vec!["👋"]),
        ("**one two**", 6, vec!["<b>one </b>", "<b>two</b>"]),
        (
            "[**one two**](https://a.example)",
            4,
            vec!["<a href=\"https://a.example\"><b>one </b></a>", "<a href=\"https://a.example\"><b>two</b></a>"],
        ),
        (
            "```rust\nab\ncd\n```",
            3,
            vec!["<pre><code class=\"language-rust\">ab\n</code></pre>", "<pre><code class=\"language-rust\">cd</code></pre>"],
        ),
        ("&&&&", 2, vec!["&amp;&amp;", "&amp;&amp;"]),
    ] {
        assert_eq!(Styled::read(markdown).pieces(limit), pieces, "{markdown:?} at {limit}");
    }
}

/// What stands in the HTML, without its tags: fails if a tag is not closed, or in the wrong order.
pub fn text_of(html: &str) -> String {
    let (mut text, mut open, mut rest) = (String::new(), Vec::new(), html);
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = tag.split_once('>').expect("a tag that does not end");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{html}"),
            None => open.push(tag.split(' ').next().unwrap()),
        }
        rest = after;
    }
    assert!(open.is_empty(), "not closed: {open:?} in {html}");
    text.push_str(rest);
    assert!(!text.contains('>'), "{html}");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

proptest::proptest! {
    /// Whatever agents write: every piece is short enough and well formed, and nothing but blanks is lost between them.
    #[test]
    fn pieces_are_well_formed(
        markdown in "([*_~`>#\\-\\[\\]()<&\"\n 1.]|[a-z]{1,8}|👋|ä|\\*\\*|```|\n\n|https://a\\.b){0,60}",
        limit in 1..40_usize,
    ) {
        let styled = Styled::read(&markdown);
        let pieces: Vec<String> = styled.pieces(limit).iter().map(|piece| text_of(piece)).collect();
        for piece in &pieces {
            proptest::prop_assert!(units(piece) <= limit.max(2), "{piece:?}");
        }
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        proptest::prop_assert_eq!(letters(&pieces.concat()), letters(&text_of(&styled.html())));
    }
}
