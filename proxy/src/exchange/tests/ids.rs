//! `$request_id`: the same wherever a request asks for it, and nobody else's.

use super::*;
use crate::config::site::Added;
use crate::config::template::{Part, Template, Variable};

/// The ids that a connection of this number shows for its requests, in a field and for the log.
fn ids(serial: u64, seed: u64) -> Vec<String> {
    let id = Template::default().with(Part::Variable(Variable::RequestId));
    let mut play = Play::new(|config| {
        let added = Added { name: "X".to_owned(), value: id.clone(), is_always: true };
        config.sites[0].location.rules.delivery.added.push(added);
    });
    play.exchange.numbered(serial);
    play.env.world.seed = seed;
    let mut ids = Vec::new();
    for _ in 0..2 {
        play.client_sends(GET);
        let mut logged = Vec::new();
        play.exchange.log_text(&id, &play.env, &mut logged);
        play.upstream_sends(OK);
        let got = play.client_got();
        let shown = got.split('|').find_map(|line| line.strip_prefix("X: ")).expect("the field").to_owned();
        assert_eq!(shown.as_bytes(), logged);
        assert!(
            shown.len() == 32 && shown.bytes().all(|digit| b"0123456789abcdef".contains(&digit)),
            "{shown}"
        );
        ids.push(shown);
    }
    ids
}

#[test]
fn a_request_has_one_and_no_two_have_the_same() {
    let mut all: Vec<_> =
        [(1, 7), (2, 7), (1, 8)].into_iter().flat_map(|(serial, seed)| ids(serial, seed)).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
    assert_eq!(ids(1, 7), ids(1, 7), "what a seed says can be replayed");
}
