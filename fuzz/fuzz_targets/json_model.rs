//! See `behalf_fuzz::json_model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| behalf_fuzz::json_model(data));
