//! Looks at a raw mail before the MIME parser does, and makes it harmless for it.
//!
//! The parser builds a tree of mails inside mails and walks it recursively, so a mail of a few megabytes that holds a million
//! mails inside each other would overflow the stack, which kills the whole process. It also searches to the end of the mail for every
//! multipart that is not closed, and keeps some hundred bytes per header and part. So enclosed mails are renamed, by one letter of
//! their content type, to what the parser takes for a plain file, and mails with absurd numbers of parts or headers are refused.

/// The most parts with a content type.
const PART_LIMIT: usize = 2_000;
/// The most multipart parts.
const MULTIPART_LIMIT: usize = 100;
/// The most lines that may begin a part.
const DELIMITER_LIMIT: usize = 100_000;
/// The most lines that may be a header.
const HEADER_LIMIT: usize = 200_000;

/// The renamed forms of what an enclosed mail, and a digest of them, are called.
const RENAMED: [(&[u8], u8); 3] = [(b"rfc822", b'x'), (b"global", b'x'), (b"digest", b'x')];

/// Returns the mail with enclosed mails renamed; every byte stays at its place.
///
/// # Errors
/// Says what there is too much of.
pub fn screen(raw: &[u8]) -> Result<Vec<u8>, String> {
    let mut screened = raw.to_vec();
    let (mut parts, mut multiparts, mut delimiters, mut headers) = (0, 0, 0, 0);
    let mut position = 0;
    while let Some(line) = raw.get(position..).filter(|rest| !rest.is_empty()).map(first_line) {
        delimiters += usize::from(line.starts_with(b"--"));
        headers += usize::from(line.iter().take(40).any(|byte| *byte == b':'));
        let mut end = position + line.len();
        if let Some(offset) = content_type_value(line) {
            // The value goes on in lines that begin with a blank.
            while raw.get(end).is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
                end += raw.get(end..).map_or(0, |rest| first_line(rest).len());
            }
            parts += 1;
            if let Some(value) = screened.get_mut(position + offset..end) {
                multiparts += usize::from(contains(value, b"multipart"));
                rename(value);
            }
        }
        position = end;
        for (count, limit, what) in [
            (parts, PART_LIMIT, "parts"),
            (multiparts, MULTIPART_LIMIT, "nested parts"),
            (delimiters, DELIMITER_LIMIT, "delimiters"),
            (headers, HEADER_LIMIT, "headers"),
        ] {
            if count > limit {
                return Err(format!("this mail has more than {limit} {what}"));
            }
        }
    }
    Ok(screened)
}

/// What a renamed content type was called before.
pub fn original_type(content_type: &str) -> String {
    content_type.replace("/xfc822", "/rfc822").replace("/xlobal", "/global").replace("/xigest", "/digest")
}

fn first_line(rest: &[u8]) -> &[u8] {
    let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
    rest.get(..end).unwrap_or(rest)
}

/// Where in a line the value of a Content-Type header begins. The parser ignores blanks in names, and a delimiter may share
/// the line, so the name is found anywhere.
fn content_type_value(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-type:";
    let mut matched = 0;
    for (position, byte) in line.iter().enumerate() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        let lower = byte.to_ascii_lowercase();
        matched = if NAME.get(matched) == Some(&lower) { matched + 1 } else { usize::from(lower == b'c') };
        if matched == NAME.len() {
            return Some(position + 1);
        }
    }
    None
}

/// Renames in the type itself and not in its parameters; a comment may hide where those begin, then everywhere.
fn rename(value: &mut [u8]) {
    let parameters = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    let has_comment = value.iter().take(parameters).any(|byte| *byte == b'(');
    let end = if has_comment { value.len() } else { parameters };
    for (word, letter) in RENAMED {
        for position in 0..end {
            if value.get(position..position + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
                && let Some(first) = value.get_mut(position)
            {
                *first = letter;
            }
        }
    }
}

fn contains(value: &[u8], word: &[u8]) -> bool {
    value.windows(word.len()).any(|found| found.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn enclosed_mails_are_renamed_and_nothing_else() {
        for (raw, screened) in [
            ("Content-Type: message/rfc822\n\nx", "Content-Type: message/xfc822\n\nx"),
            ("CONTENT-TYPE: MESSAGE/RFC822\n", "CONTENT-TYPE: MESSAGE/xFC822\n"),
            ("Con tent-Type :message/\n rfc822\n", "Con tent-Type :message/\n xfc822\n"),
            ("--bContent-Type: message/rfc822\n", "--bContent-Type: message/xfc822\n"),
            ("::Content-Type: message/global\n", "::Content-Type: message/xlobal\n"),
            ("ccontent-type: multipart/digest; boundary=digest\n", "ccontent-type: multipart/xigest; boundary=digest\n"),
            ("Content-Type: (;)message/rfc822\n", "Content-Type: (;)message/xfc822\n"),
            ("Content-Type: text/plain; name=\"rfc822 global.txt\"\n", "Content-Type: text/plain; name=\"rfc822 global.txt\"\n"),
            ("Final-Recipient: rfc822; ann@shop.example\n", "Final-Recipient: rfc822; ann@shop.example\n"),
        ] {
            assert_eq!(String::from_utf8(screen(raw.as_bytes()).unwrap()).unwrap(), screened, "{raw:?}");
        }
        assert_eq!(original_type("message/xfc822"), "message/rfc822");
    }

    #[test]
    fn absurd_mails_are_refused() {
        for (mail, reason) in [
            ("Content-Type: text/plain\n\n".repeat(2_001), "this mail has more than 2000 parts"),
            ("Content-Type: multipart/mixed; boundary=b\n\n".repeat(101), "this mail has more than 100 nested parts"),
            ("--b\n\n".repeat(100_001), "this mail has more than 100000 delimiters"),
            ("a:b\n".repeat(200_001), "this mail has more than 200000 headers"),
        ] {
            assert_eq!(screen(mail.as_bytes()).unwrap_err(), reason);
        }
    }
}
