//! The idle pool against a plain list.

use proptest::prelude::*;
use slotmap::SlotMap;

use super::*;
use crate::upstream::Idle;

fn keys(count: usize) -> Vec<PeerKey> {
    let mut peers = SlotMap::with_key();
    (0..count).map(|_| peers.insert(())).collect()
}

#[test]
fn the_youngest_is_reused_first_and_the_oldest_of_all_evicted() {
    let [a, b] = keys(2)[..] else { unreachable!() };
    let mut idle = Idle::new(3);
    assert_eq!(idle.put(a, 1, at(0)), None);
    assert_eq!(idle.put(b, 2, at(0)), None);
    assert_eq!(idle.put(a, 3, at(1)), None);
    assert_eq!(idle.put(b, 4, at(2)), Some(1));
    assert_eq!(idle.len(), 3);
    assert_eq!(idle.oldest(), Some((2, at(0))));
    assert_eq!(idle.take(b), Some(4));
    assert_eq!(idle.take(b), Some(2));
    assert_eq!(idle.take(b), None);
    assert_eq!(idle.take(a), Some(3));
    assert!(idle.is_empty());
    assert_eq!(idle.oldest(), None);
}

#[test]
fn a_pool_of_none_returns_what_it_is_given() {
    let mut idle = Idle::new(0);
    assert_eq!(idle.put(keys(1)[0], 7, at(0)), Some(7));
    assert!(idle.is_empty());
}

#[test]
fn what_has_been_idle_too_long_expires_in_order() {
    let [a, b] = keys(2)[..] else { unreachable!() };
    let mut idle = Idle::new(9);
    for (peer, conn, second) in [(a, 1, 0), (b, 2, 5), (a, 3, 9)] {
        idle.put(peer, conn, at(second));
    }
    assert_eq!(idle.take_expired(at(5)), Some(1));
    assert_eq!(idle.take_expired(at(5)), Some(2));
    assert_eq!(idle.take_expired(at(5)), None);
    assert_eq!(idle.drain().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_vanished_peer_s_connections_are_still_found() {
    let mut peers = SlotMap::with_key();
    let old: PeerKey = peers.insert(());
    peers.remove(old);
    let new = peers.insert(());
    let mut idle = Idle::new(9);
    idle.put(old, 1, at(0));
    idle.put(old, 2, at(0));
    idle.put(new, 3, at(0));
    idle.put(old, 4, at(0));
    assert_eq!(idle.len(), 4);
    assert!(!idle.remove(new, 1));
    for conn in [2, 4, 1] {
        assert!(idle.remove(old, conn), "{conn}");
        assert!(!idle.remove(old, conn), "{conn} twice");
    }
    assert_eq!(idle.take(new), Some(3));
    assert!(idle.is_empty());
}

proptest! {
    #[test]
    fn it_does_as_a_plain_list(
        limit in 0_usize..6,
        steps in prop::collection::vec((0..5, 0..4_usize, any::<prop::sample::Index>()), 0..200),
    ) {
        // Two keys share a slot, as those of a vanished peer and its successor do.
        let mut peers = SlotMap::with_key();
        let first: PeerKey = peers.insert(());
        peers.remove(first);
        let mut keys = vec![first];
        keys.extend((0..3).map(|_| peers.insert(())));

        let mut idle = Idle::new(limit);
        let mut list: Vec<(PeerKey, u32, u64)> = Vec::new();
        for (time, (action, peer, index)) in (0_u64..).zip(steps) {
            let peer = keys[peer];
            let conn = time as u32;
            match action {
                0 | 1 => {
                    list.push((peer, conn, time));
                    let closed = (list.len() > limit).then(|| list.remove(0).1);
                    prop_assert_eq!(idle.put(peer, conn, at(time)), closed);
                }
                // A vanished peer is never chosen, so nothing is taken for it.
                2 if peer != first => {
                    let found = list.iter().rposition(|entry| entry.0 == peer);
                    prop_assert_eq!(idle.take(peer), found.map(|i| list.remove(i).1));
                }
                3 if !list.is_empty() => {
                    let (peer, conn, _) = list.remove(index.index(list.len()));
                    prop_assert!(idle.remove(peer, conn));
                    prop_assert!(!idle.remove(peer, conn));
                }
                4 => {
                    let deadline = time.saturating_sub(5);
                    let is_due = list.first().is_some_and(|entry| entry.2 <= deadline);
                    prop_assert_eq!(idle.take_expired(at(deadline)), is_due.then(|| list.remove(0).1));
                }
                _ => prop_assert!(!idle.remove(peer, u32::MAX)),
            }
            prop_assert_eq!(idle.len(), list.len());
            prop_assert_eq!(idle.iter().collect::<Vec<_>>(), list.iter().map(|e| (e.0, e.1)).collect::<Vec<_>>());
        }
        let rest: Vec<u32> = list.iter().map(|entry| entry.1).collect();
        prop_assert_eq!(idle.drain().collect::<Vec<_>>(), rest);
    }
}
