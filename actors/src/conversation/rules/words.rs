//! What the desk says to contacts by itself where the inbox has no words of its own, in the languages of the website chat. Another
//! language is one more row.
/// The words of a language.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    language: &'static str,
    /// Above a survey.
    pub please_rate: &'static str,
    /// Before the question for an e-mail address.
    pub way_to_reach_you: &'static str,
    /// The question itself.
    pub notified_by_email: &'static str,
}

/// In English, and then the others.
const WORDS: &[Words] = &[
    ENGLISH,
    Words {
        language: "es",
        please_rate: "Por favor, valore esta conversación",
        way_to_reach_you: "Díganos cómo podemos contactar con usted.",
        notified_by_email: "Reciba la respuesta por correo electrónico",
    },
    Words {
        language: "pt",
        please_rate: "Por favor, avalie esta conversa",
        way_to_reach_you: "Diga-nos como podemos entrar em contato com você.",
        notified_by_email: "Receba a resposta por e-mail",
    },
    Words {
        language: "de",
        please_rate: "Bitte bewerten Sie dieses Gespräch",
        way_to_reach_you: "Sagen Sie uns, wie wir Sie erreichen.",
        notified_by_email: "Lassen Sie sich per E-Mail benachrichtigen",
    },
    Words {
        language: "fr",
        please_rate: "Merci d’évaluer cette conversation",
        way_to_reach_you: "Dites-nous comment vous joindre.",
        notified_by_email: "Recevez la réponse par e-mail",
    },
    Words {
        language: "ar",
        please_rate: "يرجى تقييم هذه المحادثة",
        way_to_reach_you: "أخبرنا كيف يمكننا التواصل معك.",
        notified_by_email: "احصل على الرد عبر البريد الإلكتروني",
    },
    Words {
        language: "hi",
        please_rate: "कृपया इस बातचीत को रेटिंग दें",
        way_to_reach_you: "हमें बताएँ कि हम आपसे कैसे संपर्क करें।",
        notified_by_email: "उत्तर ईमेल से पाएँ",
    },
];

const ENGLISH: Words = Words {
    language: "en",
    please_rate: "Please rate this conversation",
    way_to_reach_you: "Give the team a way to reach you.",
    notified_by_email: "Get notified by email",
};

/// The words of a language: `pt_BR` is Portuguese; what nobody knows is English.
pub fn in_language(locale: &str) -> &'static Words {
    let language = locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    WORDS.iter().find(|words| words.language == language).unwrap_or(&ENGLISH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_its_first_letters_and_each_says_everything() {
        for (locale, language) in [("de", "de"), ("pt_BR", "pt"), ("FR-ca", "fr"), ("ja", "en"), ("", "en")] {
            assert_eq!(in_language(locale).language, language, "{locale}");
        }
        for one in WORDS {
            let said = [one.please_rate, one.way_to_reach_you, one.notified_by_email];
            assert!(said.iter().all(|text| !text.trim().is_empty()), "{}", one.language);
            let same = WORDS.iter().filter(|other| other.please_rate == one.please_rate);
            assert_eq!(same.count(), 1, "{}", one.language);
        }
    }
}
