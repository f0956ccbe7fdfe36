#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| end_to_end::hostile::items::check(input));
