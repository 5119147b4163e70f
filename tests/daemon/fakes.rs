//! Stand-ins for providers: each behaves as its provider does, and can be told to fail as it does. They are built on the harness's
//! receiver and on nothing else, so that tests of other crates can include them.
#![allow(dead_code, reason = "not every helper is in use at every time")]

use crate::harness::{Received, Receiver, Reply, shared};

pub mod graph;
pub mod telegram;
