//! What the daemon writes to people who are to sign in: an invitation, a way to a new password, a question whether an address is
//! theirs. Each is a mail that waits for the relay, in the transaction that gives the token it carries.
use crate::one_time_tokens;
use actors::mailer::{Headers, Mail};
use actors::secret::hash;
use actors::system::Handles;
use chrono::Duration;
use entity::one_time_token::Purpose;
use entity::user;
use sea_orm::{ConnectionTrait, DbErr};

/// What is written.
#[derive(Clone, Copy, Debug)]
pub enum Letter<'a> {
    /// Somebody was added to an account and has no password yet.
    Invitation {
        /// To what.
        account: &'a str,
        /// By whom.
        inviter: &'a str,
    },
    /// Somebody asked for a new password.
    Password,
    /// Somebody signed up with this address.
    Confirmation,
    /// Somebody signed up with an address that has signed up before.
    AlreadyThere,
}

impl Letter<'_> {
    /// What its token opens, for how long, and the page of the dashboard that takes it.
    fn opens(self) -> (Purpose, Duration, &'static str) {
        const PASSWORD_PAGE: &str = "/app/auth/password/edit?reset_password_token=";
        match self {
            Letter::Invitation { .. } => (Purpose::Password, Duration::days(14), PASSWORD_PAGE),
            Letter::Password | Letter::AlreadyThere => (Purpose::Password, Duration::hours(6), PASSWORD_PAGE),
            Letter::Confirmation => (Purpose::Confirmation, Duration::days(7), "/app/auth/confirmation?confirmation_token="),
        }
    }

    fn subject(self) -> String {
        match self {
            Letter::Invitation { account, .. } => {
                format!("You are invited to {}", account.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Letter::Password => "Your new password".into(),
            Letter::Confirmation => "Please confirm your address".into(),
            Letter::AlreadyThere => "You have an account already".into(),
        }
    }

    fn text(self, name: &str, link: &str, token: &str) -> String {
        let (purpose, lifetime, _) = self.opens();
        let why = match self {
            Letter::Invitation { account, inviter } => format!("{inviter} has added you to {account}. Choose a password here:"),
            Letter::Password => "Somebody, probably you, asked for a new password. Choose it here:".into(),
            Letter::Confirmation => "This address was used to sign up. Confirm that it is yours here:".into(),
            Letter::AlreadyThere => {
                "This address was used to sign up, and has an account already. If you have forgotten its password, choose a new one here:"
                    .into()
            }
        };
        let until = match lifetime.num_days() {
            0 => format!("{} hours", lifetime.num_hours()),
            days => format!("{days} days"),
        };
        let call = if purpose == Purpose::Confirmation { "confirmation_token" } else { "reset_password_token" };
        // Whoever signs up with the address of somebody else shall not choose what that one reads.
        let hello = if purpose == Purpose::Confirmation { "Hello".to_owned() } else { format!("Hello {name}") };
        let foot = "If this was not meant for you, nothing needs to be done.";
        format!("{hello},\n\n{why}\n{link}\n\nThe link works once, for {until}. An app may ask for its {call}: {token}\n\n{foot}\n")
    }
}

/// Stores a letter with its token; the caller rings the mailer once `db` has committed. `account_id` is 0 for a user of no account.
///
/// # Errors
/// If the database fails.
pub async fn write(
    db: &impl ConnectionTrait,
    handles: &Handles,
    user: &user::Model,
    account_id: i64,
    letter: Letter<'_>,
) -> Result<(), DbErr> {
    let (purpose, lifetime, page) = letter.opens();
    let token = one_time_tokens::give(db, user.id, purpose, lifetime).await?;
    let link = format!("{}{page}{token}", handles.files.public_url());
    let mail = Mail {
        account_id,
        key: format!("letter/{}", hash(&token)),
        recipient: user.email.clone(),
        subject: letter.subject(),
        body: letter.text(&user.name, &link, &token),
        headers: Headers::default(),
    };
    handles.mailer.queue(db, mail).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_why_it_came_what_to_do_and_until_when() {
        for (letter, subject, words) in [
            (Letter::Invitation { account: "Shop", inviter: "Ada" }, "You are invited to Shop", ["Ada has added you to Shop", "14 days"]),
            (Letter::Password, "Your new password", ["asked for a new password", "6 hours"]),
            (Letter::Confirmation, "Please confirm your address", ["confirmation_token: TOKEN", "7 days"]),
            (Letter::AlreadyThere, "You have an account already", ["has an account already", "reset_password_token: TOKEN"]),
        ] {
            assert_eq!(letter.subject(), subject);
            let text = letter.text("Bob", "LINK", "TOKEN");
            assert_eq!(text.contains("Bob"), !matches!(letter, Letter::Confirmation), "{text}");
            assert!(text.contains("\nLINK\n"), "{text}");
            words.iter().for_each(|word| assert!(text.contains(word), "{word} in {text}"));
        }
    }
}
