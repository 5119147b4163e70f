//! What the black-box tests receive requests with: the stand-ins of providers, which the channels' own tests share with them, are
//! built on it.
#[path = "../../../tests/daemon/harness/receiver.rs"]
#[allow(dead_code, missing_docs)]
pub mod receiver;
#[path = "../../../tests/daemon/harness/shared.rs"]
pub mod shared;
