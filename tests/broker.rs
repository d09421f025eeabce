//! What only a real broker can prove. Each case is a sentence; the harness gives it a broker and topics of its own.
//!
//! On a machine without Java and Maven the cases are shown as ignored, with the reason; with `CI=true` they fail.
//! Those that take minutes run only when asked for: `cargo test --test broker -- --ignored`.
//! `PROMOTER_TEST_BOOTSTRAP=host:port` runs those that leave the broker alone against one that is there already.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]

mod broker {
    pub mod abandoned;
    pub mod aborted;
    pub mod admin;
    pub mod age;
    pub mod barrier;
    pub mod belonging;
    pub mod commands;
    pub mod crashes;
    pub mod cut_off;
    pub mod demo;
    pub mod elsewhere;
    pub mod fencing;
    pub mod fleet;
    pub mod identities;
    pub mod isolation;
    #[cfg(feature = "gssapi")]
    pub mod kerberos;
    pub mod lifetime;
    pub mod log;
    pub mod material;
    pub mod membership;
    #[cfg(feature = "msk-iam")]
    pub mod msk_iam;
    pub mod outages;
    pub mod placement;
    mod producer;
    pub mod quota;
    pub mod registry;
    pub mod registry_follower;
    mod request_client;
    pub mod secrets;
    pub mod secured;
    pub mod sharing;
    pub mod start_up;
    pub mod stopping;
    pub mod throttled;
    pub mod tokens;
    pub mod too_large;
    pub mod traces;
    pub mod user_ids;
    pub mod versions;
    mod world;
    pub mod zombies;
}
mod harness;

use std::process::ExitCode;

use broker::{
    abandoned, aborted, admin, age, barrier, belonging, commands, crashes, cut_off, demo, elsewhere, fencing, fleet,
    identities, isolation, lifetime, log, material, membership, outages, placement, quota, registry, registry_follower,
    secrets, secured, sharing, start_up, stopping, throttled, tokens, too_large, traces, user_ids, versions, zombies,
};
use harness::case;

fn main() -> ExitCode {
    let cases = [
        isolation::CASES,
        fencing::CASES,
        barrier::CASES,
        belonging::CASES,
        lifetime::CASES,
        log::CASES,
        crashes::CASES,
        outages::CASES,
        zombies::CASES,
        sharing::CASES,
        quota::CASES,
        fleet::CASES,
        abandoned::CASES,
        aborted::CASES,
        identities::CASES,
        cut_off::CASES,
        membership::CASES,
        stopping::CASES,
        start_up::CASES,
        elsewhere::CASES,
        material::CASES,
        placement::CASES,
        registry::CASES,
        registry_follower::CASES,
        too_large::CASES,
        traces::CASES,
        user_ids::CASES,
        secured::CASES,
        #[cfg(feature = "gssapi")]
        broker::kerberos::CASES,
        #[cfg(feature = "msk-iam")]
        broker::msk_iam::CASES,
        secrets::CASES,
        tokens::CASES,
        age::CASES,
        versions::CASES,
        throttled::CASES,
        admin::CASES,
        commands::CASES,
        demo::CASES,
    ];
    case::main(cases.into_iter().flatten().copied())
}
