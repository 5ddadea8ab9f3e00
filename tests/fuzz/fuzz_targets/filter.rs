#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netstat_tests::fuzzed::filter(data));
