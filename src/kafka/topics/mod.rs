//! Topics: what they have to be like, which are there, how the missing ones are made; and how one is read without a group.

pub(super) mod admin_client;

pub(super) mod lookup;

pub(super) mod counts;

pub(crate) mod tables;

pub mod settings;

pub(super) mod creation;

pub(super) mod preparation;

pub(super) mod watermarks;

pub(crate) mod reader;

pub(crate) mod whole;
