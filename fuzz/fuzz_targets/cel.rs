//! See `behalf_fuzz::cel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| behalf_fuzz::cel(data));
