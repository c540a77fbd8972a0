//! The PROXY protocol before the first request.

use super::*;
use crate::time::Duration;

const HEADER: &str = "PROXY TCP4 198.51.100.9 192.0.2.1 56324 80\r\n";

fn introduced() -> Play {
    Play::new(|config| config.listeners[0].proxy_protocol = true)
}

#[test]
fn a_header_comes_once_in_whatever_pieces() {
    for size in [1, 7, HEADER.len(), 1000] {
        let mut play = introduced();
        play.reads = vec![size];
        assert!(play.exchange.is_idle());
        play.client_sends(&format!("{HEADER}{GET}"));
        assert_eq!(play.upstream_got(), GET_ON, "{size}");
        play.upstream_sends(OK);
        assert_eq!(play.client_got(), OK_ON, "{size}");
        // The next request comes without.
        play.client_sends(GET);
        assert_eq!(play.upstream_got(), GET_ON, "{size}");
    }
}

#[test]
fn what_is_no_header_closes_without_a_word() {
    for bytes in [GET, "PROXY TCP4 a b c d\r\n", "\r\n\r\n\0\r\nQUIT\n\x11\0\0\0"] {
        let mut play = introduced();
        play.client_sends(bytes);
        assert_eq!((play.client_got().as_str(), play.happened().as_str()), ("", "close"), "{bytes:?}");
    }
}

#[test]
fn a_client_that_ends_within_it_or_behind_it_is_closed() {
    for bytes in ["", "PROXY TC", HEADER] {
        let mut play = introduced();
        play.client_sends(bytes);
        play.client_ends();
        assert_eq!((play.client_got().as_str(), play.happened().as_str()), ("", "close"), "{bytes:?}");
    }
}

#[test]
fn bytes_of_it_do_not_prolong_the_wait() {
    let mut play = introduced();
    let end = play.env.now + Duration::from_secs(60);
    for byte in HEADER.chars() {
        assert_eq!(play.exchange.deadline(), end);
        play.env.now = play.env.now + Duration::from_millis(1);
        play.client_sends(&byte.to_string());
    }
    assert!(play.exchange.is_idle());
    assert_eq!(play.exchange.deadline(), end);
    assert!(play.expire());
    assert_eq!((play.client_got().as_str(), play.happened().as_str()), ("", "close"));
}
