//! Where the daemon's answers differ from the published description, and why: that one is loose (contract, section 13), and
//! where both differ the contract's text counts.
//!
//! Each: method, end of the path, JSON pointer of the complaint (`*` for any; see `contract.rs`), and the reason.

/// The known ones.
pub const DEVIATIONS: &[(&str, &str, &str, &str)] = &[];
