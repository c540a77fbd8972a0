//! Bytes before the first request: a header of the PROXY protocol is read alike in whatever pieces it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::http::head::Parsed;
use proxy::http::proxy_protocol::{HEADER_MAX, header};

fuzz_target!(|bytes: &[u8]| {
    let mut verdicts = (0..=bytes.len()).map(|len| header(&bytes[..len]));
    match verdicts.find(|verdict| *verdict != Ok(Parsed::Partial)) {
        Some(verdict) => {
            if let Ok(Parsed::Complete((len, _))) = verdict {
                assert!(len <= bytes.len().min(HEADER_MAX));
            }
            assert_eq!(header(bytes), verdict, "the first verdict stands");
        }
        None => assert!(bytes.len() < HEADER_MAX, "there is no end to it"),
    }
});
