//! A new configuration while a connection is open.

use std::sync::Arc;

use super::*;
use crate::config::{Config, Host, Server};
use crate::ids::Ids;
use crate::site::Routes;

impl Play {
    /// Another configuration comes, in which the listener is called `number`.
    fn reload(&mut self, number: usize, change: impl FnOnce(&mut Config)) {
        let server = Server::new("app2:5000", Host::Name("app2".into(), 5000));
        let mut config = Config::new(vec![server]);
        change(&mut config);
        let mut ids = Ids::first(&config);
        ids.listeners = vec![number];
        let routes = Arc::new(Routes::new(&config, &ids));
        self.exchange.retire(&routes, &mut self.env);
        self.env.routes = routes;
        self.env.buffers.grow(self.env.routes.buffer_size());
    }
}

#[test]
fn the_next_request_goes_by_the_new_configuration() {
    let mut play = Play::plain();
    play.one_exchange();
    play.reload(0, |config| config.sites[0].location.rules.max_body_size = 4);
    play.client_sends(POST);
    assert!(play.client_got().starts_with("HTTP/1.1 413"));
}

#[test]
fn the_request_in_hand_goes_by_the_old_one() {
    let mut play = Play::plain();
    play.client_sends("POST / HTTP/1.1\r\nHost: h\r\nConte");
    play.reload(0, |config| config.sites[0].location.rules.max_body_size = 4);
    play.client_sends("nt-Length: 5\r\n\r\nhello");
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    play.client_sends(POST);
    assert!(play.client_got().starts_with("HTTP/1.1 413"));
}

/// The host of a request without one tells the configurations apart.
#[test]
fn a_request_that_waited_behind_another_goes_by_the_new_configuration_too() {
    let mut play = Play::plain();
    let long = format!("{GET}GET /{} HTTP/1.0\r\n", "x".repeat(15_000));
    play.client_sends(&long);
    play.reload(0, |config| config.sites[0].client.max_header_size = 64 << 10);
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    assert_eq!(play.upstream_got(), GET_ON);
    // More than a buffer of the old configuration would hold.
    play.client_sends(&format!("X: {}\r\n\r\n", "y".repeat(20_000)));
    let got = play.upstream_got();
    assert!(got.contains("|Host: app2:5000|") && got.len() > 35_000, "{got}");
    play.upstream_sends(OK);
    assert!(play.client_got().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_client_whose_listener_is_gone_leaves_with_its_response() {
    let mut play = Play::plain();
    play.client_sends(GET);
    play.reload(1, |_| {});
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON.replace("keep-alive", "close"));
    assert_eq!(play.happened(), "fresh, release reusable served, shut Client");
}

#[test]
fn what_a_client_of_a_listener_that_is_gone_had_sent_before_goes_by_the_last_configuration() {
    let mut play = Play::plain();
    play.client_sends(&format!("{GET}{GET}"));
    play.reload(1, |_| {});
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON.replace("keep-alive", "close"));
}

#[test]
fn records_are_kept_from_the_next_request_on() {
    let mut play = Play::plain();
    play.one_exchange();
    assert!(!play.exchange.keeps_record());
    play.reload(0, |config| config.log_to("access.log"));
    play.one_exchange();
    assert!(play.exchange.takes_log_lines());
    play.reload(0, |_| {});
    play.one_exchange();
    assert!(!play.exchange.keeps_record());
}
