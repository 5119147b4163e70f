//! Tells mail that a program sent, which must get no automatic answer (RFC 3834): else two programs write to each other for ever.
//!
//! The guards that count (at most so many automatic answers per contact and hour) belong to the conversation's rules.

/// Whether a mail was sent by a program, from its headers (names in lower case, raw values) and its sender's address.
pub fn is_automatic(headers: &[(String, String)], sender: &str) -> bool {
    headers.iter().any(|(name, value)| is_sign(name, value.trim())) || is_machine(sender)
}

fn is_sign(name: &str, value: &str) -> bool {
    let first_word = value.split([';', ' ', '\t', '(']).next().unwrap_or_default().to_ascii_lowercase();
    match name {
        "auto-submitted" => first_word != "no",
        "precedence" => matches!(first_word.as_str(), "bulk" | "junk" | "list" | "auto_reply" | "auto-reply"),
        "x-auto-response-suppress" => first_word != "none",
        "x-autoreply" | "x-autorespond" | "x-auto-reply-from" => first_word != "no",
        "list-id" | "list-unsubscribe" | "x-failed-recipients" => true,
        "return-path" => value.split_whitespace().collect::<String>() == "<>",
        "content-type" => first_word == "multipart/report",
        _ => false,
    }
}

fn is_machine(sender: &str) -> bool {
    let name: String = sender.split('@').next().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "mailerdaemon" | "postmaster")
        || ["noreply", "donotreply", "bounce"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs() {
        for (header, automatic) in [
            ("auto-submitted: auto-replied", true),
            ("auto-submitted: auto-generated; type=vacation", true),
            ("auto-submitted: No", false),
            ("auto-submitted: no (really)", false),
            ("precedence: bulk", true),
            ("precedence: Auto_Reply", true),
            ("precedence: first-class", false),
            ("x-auto-response-suppress: All", true),
            ("x-auto-response-suppress: None", false),
            ("x-autoreply: yes", true),
            ("x-autorespond: out of office", true),
            ("list-id: News <news.shop.example>", true),
            ("list-unsubscribe: <mailto:out@shop.example>", true),
            ("return-path: <>", true),
            ("return-path: < >", true),
            ("return-path: <ann@shop.example>", false),
            ("content-type: multipart/report; report-type=delivery-status", true),
            ("content-type: multipart/mixed; boundary=x", false),
            ("x-failed-recipients: bob@shop.example", true),
            ("subject: Auto-Submitted: auto-replied", false),
        ] {
            let (name, value) = header.split_once(':').unwrap_or_default();
            assert_eq!(is_automatic(&[(name.into(), value.into())], "ann@shop.example"), automatic, "{header}");
        }
    }

    #[test]
    fn senders() {
        for (sender, automatic) in [
            ("MAILER-DAEMON@mx.example", true),
            ("postmaster@shop.example", true),
            ("no-reply@shop.example", true),
            ("NoReply+4@shop.example", true),
            ("do_not_reply@shop.example", true),
            ("bounces+17@shop.example", true),
            ("ann@noreply.example", false),
            ("replyanna@shop.example", false),
        ] {
            assert_eq!(is_automatic(&[], sender), automatic, "{sender}");
        }
    }
}
