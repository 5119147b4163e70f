//! Splits what somebody wrote from what they quoted below it. The whole is always kept beside it, so a wrong guess loses nothing.
use regex::Regex;
use std::sync::LazyLock;

/// The two parts of a text; quoted is empty where nothing was quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What is new.
    pub reply: String,
    /// What follows it.
    pub quoted: String,
}

/// `On … wrote:` in the languages of common mail programs; a line of its own, possibly broken into two.
static ATTRIBUTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?xmi) ^[\ \t>]* (?:
            (?:on|am|le|el|em|il|op|den|w\ dniu|dne|vào)\b [^\n]{4,250} (?:\n [^\n]{0,120})?
                (?:wrote|schrieb|a\ écrit|escribió|escreveu|ha\ scritto|schreef|skrev|napisał\(?a?\)?|napsal\(?a?\)?|đã\ viết) [^\n]{0,60}
          | \d{4}[-/.年]\s?\d{1,2}[-/.月]\s?\d{1,2} [^\n]{0,200} (?:<[^>\n]+@[^>\n]+>|wrote|写道|のメール) [^\n]{0,20}
          | \d{1,2}[./]\d{1,2}[./]\d{2,4} [^\n]{0,200} (?:пишет|написал\(?а?\)?|написав) [^\n]{0,20}
        ) [::] [\ \t]* $",
    )
    .ok()
});

/// A line that mail programs draw above an original message.
static SEPARATOR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?xmi) ^[\ \t>]* (?:
            -{2,}\s* (?:original\ message|forwarded\ message|reply\ message|ursprüngliche\ nachricht|weitergeleitete\ nachricht
                |message\ d'origine|message\ original|mensaje\ original|messaggio\ originale|oorspronkelijk\ bericht
                |mensagem\ original|原始邮件|original\ appointment) \s*-{2,}
          | _{20,}
        ) [\ \t]* $",
    )
    .ok()
});

/// The block that Outlook writes: sender, date and recipient in lines one after the other.
static HEADER_BLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?xmi) ^[\ \t>*]* (?:from|von|de|da|van|från|fra|od|от|发件人|差出人) [*]? \s?[::] [^\n]+ \n
          (?: [^\n]+ \n ){0,2}?
          [\ \t>*]* (?:sent|date|gesendet|datum|envoyé|enviado|enviada|inviato|data|verzonden|skickat|sendt|дата|отправлено|发送时间|日期|送信日時) [*]? (?:\ el|\ em)? \s?[::]",
    )
    .ok()
});

/// The beginnings of quoted parts in HTML.
static HTML_QUOTE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?xi) <(?:div|blockquote|span|table|p|hr|section)\b [^>]{0,400}? (?:
            class\s*=\s*["']? [^"'>]{0,200}? \b(?:gmail_quote|gmail_extra|moz-cite-prefix|yahoo_quoted|protonmail_quote|zmail_extra|OutlookMessageHeader|WordSection1Quote)\b
          | id\s*=\s*["']? (?:x_)?(?:divRplyFwdMsg|appendonsend|replySplit|reply-intro|mail-editor-reference-message-container|isForwardContent|stopSpelling|OLK_SRC_BODY_SECTION|oriMsgHtmlSeperator)\b
        ) | <blockquote\b [^>]{0,400}? type\s*=\s*["']?cite
          | <div\b [^>]{0,200}? style\s*=\s*["'] \s* border:\s?none;\s?border-top:\s?solid\s\#(?:E1E1E1|B5C4DF)\s1\.0pt
        "#,
    )
    .ok()
});

/// Splits a text. Where nothing new would be left, all of it is the reply.
pub fn split_text(text: &str) -> Split {
    let first =
        [&ATTRIBUTION, &SEPARATOR, &HEADER_BLOCK].into_iter().filter_map(|pattern| pattern.as_ref()?.find(text)).map(|found| found.start());
    let cut = first.chain(quoted_tail(text)).chain(signature(text)).min();
    split_at(text, cut, |reply| !reply.trim().is_empty())
}

/// Splits HTML before it is cleaned; cleaning both parts closes what the cut left open. `has_content` tells whether a part shows
/// anything.
pub fn split_html(html: &str, has_content: impl Fn(&str) -> bool) -> Split {
    let cut = HTML_QUOTE.as_ref().and_then(|pattern| pattern.find(html)).map(|found| found.start());
    split_at(html, cut, has_content)
}

fn split_at(text: &str, cut: Option<usize>, has_content: impl Fn(&str) -> bool) -> Split {
    match cut.and_then(|cut| text.split_at_checked(cut)) {
        Some((reply, quoted)) if has_content(reply) => Split { reply: reply.trim_end().to_owned(), quoted: quoted.trim().to_owned() },
        _ => Split { reply: text.trim_end().to_owned(), quoted: String::new() },
    }
}

/// Where a run of quoted lines begins that reaches to the end. Lines quoted between answers stay.
fn quoted_tail(text: &str) -> Option<usize> {
    let mut start = None;
    let mut position = text.len();
    for line in text.split_inclusive('\n').rev() {
        position -= line.len();
        if line.trim_start().starts_with('>') {
            start = Some(position);
        } else if !line.trim().is_empty() {
            break;
        }
    }
    start
}

/// Where a signature begins (RFC 3676, 4.3): a line of two hyphens and a blank.
fn signature(text: &str) -> Option<usize> {
    let mut position = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end_matches(['\r', '\n']) == "-- " {
            return Some(position);
        }
        position += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (reply, quoted) in [
            ("Thanks!", "On Mon, 3 Nov 2025 at 10:00, Ann <ann@shop.example> wrote:\n> Hello"),
            ("Thanks!", "On Mon, 3 Nov 2025 at 10:00, Ann Very Long Name\n<ann@shop.example> wrote:\n> Hello"),
            ("Danke", "Am 03.11.2025 um 10:00 schrieb Ann <ann@shop.example>:\n> Hallo"),
            ("Merci", "Le lun. 3 nov. 2025 à 10:00, Ann <ann@shop.example> a écrit :\n> Bonjour"),
            ("Gracias", "El lun, 3 nov 2025 a las 10:00, Ann (<ann@shop.example>) escribió:\n> Hola"),
            ("Obrigado", "Em seg., 3 de nov. de 2025 às 10:00, Ann <ann@shop.example> escreveu:\n> Oi"),
            ("Grazie", "Il giorno lun 3 nov 2025 alle ore 10:00 Ann <ann@shop.example> ha scritto:\n> Ciao"),
            ("Bedankt", "Op ma 3 nov 2025 om 10:00 schreef Ann <ann@shop.example>:\n> Hallo"),
            ("Tack", "Den mån 3 nov. 2025 kl 10:00 skrev Ann <ann@shop.example>:\n> Hej"),
            ("谢谢", "2025年11月3日 10:00,Ann <ann@shop.example>:\n> 你好"),
            ("Спасибо", "03.11.2025 10:00, Ann пишет:\n> Привет"),
            ("Please see below", "-----Original Message-----\nFrom: Ann\nHello"),
            ("Siehe unten", "-----Ursprüngliche Nachricht-----\nVon: Ann"),
            ("See below", "From: Ann <ann@shop.example>\nSent: Monday, 3 November 2025 10:00\nTo: Bob\nSubject: Hello\n\nHello"),
            ("Siehe unten", "Von: Ann <ann@shop.example>\nGesendet: Montag, 3. November 2025 10:00\nAn: Bob\n\nHallo"),
            ("See below", "*From:* Ann <ann@shop.example>\n*Sent:* Monday"),
            ("See below", "________________________________\nFrom: Ann"),
            ("Thanks", "> Hello\n> Bye"),
            ("Thanks", "-- \nBob\nShop Ltd"),
            ("> first question\nfirst answer\n> second question\nsecond answer", ""),
            ("I met him on Monday and he wrote: nothing more", ""),
            ("From: my point of view\nall is well", ""),
            ("Options:\n-- one\n-- two", ""),
        ] {
            let text = if quoted.is_empty() { reply.to_owned() } else { format!("{reply}\n\n{quoted}") };
            assert_eq!(split_text(&text), Split { reply: reply.into(), quoted: quoted.into() }, "{text:?}");
        }
    }

    #[test]
    fn all_is_kept_where_nothing_is_new() {
        let text = "> only a quote";
        assert_eq!(split_text(text), Split { reply: text.into(), quoted: String::new() });
        assert_eq!(split_text(""), Split { reply: String::new(), quoted: String::new() });
    }

    #[test]
    fn html() {
        for quoted in [
            "<div class=\"gmail_quote\"><div class=gmail_attr>On … wrote:</div></div>",
            "<div dir=\"ltr\" class=\"x gmail_quote_container gmail_quote\">old</div>",
            "<blockquote type=\"cite\">old</blockquote>",
            "<div id=\"divRplyFwdMsg\" dir=\"ltr\">From: Ann</div>",
            "<div class=\"moz-cite-prefix\">On …</div><blockquote>old</blockquote>",
            "<div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'><p><b>From:</b></p></div>",
            "<div id=\"mail-editor-reference-message-container\">old</div>",
        ] {
            let html = format!("<div>Thanks</div>{quoted}");
            let split = split_html(&html, |part| part.contains("Thanks"));
            assert_eq!(split, Split { reply: "<div>Thanks</div>".into(), quoted: quoted.into() }, "{quoted}");
            assert_eq!(split_html(quoted, |_| false).reply, quoted);
        }
        assert_eq!(split_html("<p>a <blockquote>quoted by hand</blockquote></p>", |_| true).quoted, "");
    }

    #[test]
    fn patterns_compile() {
        for pattern in [&ATTRIBUTION, &SEPARATOR, &HEADER_BLOCK, &HTML_QUOTE] {
            assert!(pattern.is_some());
        }
    }
}
