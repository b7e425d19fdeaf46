//! salebridge turns signed payment webhooks into sales, counted once and forwarded until accepted.
//!
//! The stages are verbs, in the order of a webhook's way: [`receive`], [`verify`], [`enrich`], [`map`], [`attribute`], [`forward`].
//! Everything else is a noun they share. ARCHITECTURE.md tells the whole story.

pub mod attribute;
pub mod enrich;
pub mod forward;
pub mod map;
pub mod receive;
pub mod verify;

pub mod pipeline;
pub mod rejudge;
pub mod remap;

pub mod cli;

pub mod admin;
pub mod alarm;
pub mod app;
pub mod doctor;
pub mod document;
pub mod domain;
pub mod envelope;
pub mod explain;
pub mod outbound;
pub mod overview;
pub mod pack;
pub mod shipped;
pub mod store;
pub mod trace;
