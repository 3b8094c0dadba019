//! See `behalf_fuzz::tuple`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| behalf_fuzz::tuple(data));
