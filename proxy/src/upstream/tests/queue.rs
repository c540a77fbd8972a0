//! Requests that wait for a server.

use super::super::{Queue, Waiter};
use super::*;

fn queue(requests_max: usize) -> Queue {
    Queue::new(Some(config::Queue { requests_max, timeout: Duration::from_secs(1) }))
}

fn waiter(client: u64) -> Waiter {
    Waiter { worker: (client % 3) as usize, client }
}

#[test]
fn they_stand_in_their_order() {
    let mut queue = queue(3);
    assert!(queue.is_empty() && !queue.is_behind(waiter(1)));
    for client in 1..=3 {
        assert!(queue.join(waiter(client)));
    }
    assert!(!queue.join(waiter(4)), "it is full");
    assert!(queue.join(waiter(2)), "who is in it stays");
    assert_eq!((queue.len(), queue.first()), (3, Some(waiter(1))));
    assert!(!queue.is_behind(waiter(1)) && queue.is_behind(waiter(2)) && queue.is_behind(waiter(4)));
    assert_eq!(queue.leave(waiter(2)), None, "the first is the first as before");
    assert_eq!(queue.leave(waiter(1)), Some(waiter(3)));
    assert_eq!(queue.leave(waiter(1)), None, "it has gone already");
    assert_eq!(queue.leave(waiter(3)), None);
    assert!(queue.is_empty());
}

#[test]
fn clients_of_two_workers_are_two() {
    let mut queue = queue(2);
    let [one, other] = [0, 1].map(|worker| Waiter { worker, client: 7 });
    assert!(queue.join(one) && queue.join(other));
    assert_eq!(queue.leave(one), Some(other));
}

#[test]
fn without_a_word_of_it_nobody_waits() {
    let mut driver = Driver::round_robin(&weighted(&[1]));
    assert!(!driver.group.queue().join(waiter(1)));
}
