//! See `behalf_fuzz::dsl`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| behalf_fuzz::dsl(data));
