#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| userdocks_test_support::hostile::api_key::check(input));
