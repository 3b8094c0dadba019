//! See `behalf_fuzz::import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| behalf_fuzz::import(data));
