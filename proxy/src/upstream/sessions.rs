//! Sessions whose peers were learnt from responses (`sticky learn`).

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Learn;
use crate::key::{Digest, Lesson};
use crate::time::{Duration, Time};

/// The sessions of a group.
#[derive(Debug)]
pub(super) struct Sessions {
    most: usize,
    timeout: Duration,
    known: BTreeMap<Digest, Known>,
    /// When each was used last. Invariant: the same sessions as in `known`, with its times.
    by_age: BTreeSet<(Time, Digest)>,
}

#[derive(Debug)]
struct Known {
    /// What the peer is called.
    peer: Digest,
    used: Time,
}

impl Sessions {
    pub(super) fn new(rules: &Learn) -> Sessions {
        Sessions {
            most: rules.sessions_max,
            timeout: rules.timeout,
            known: BTreeMap::new(),
            by_age: BTreeSet::new(),
        }
    }

    /// What the peer of a session is called.
    pub(super) fn peer(&mut self, session: Digest, now: Time) -> Option<Digest> {
        self.expire(now);
        self.known.get(&session).map(|known| known.peer)
    }

    /// A peer has answered a request of a session.
    pub(super) fn learn(&mut self, lesson: Lesson, peer: Digest, now: Time) {
        self.expire(now);
        let Lesson { session, begins } = lesson;
        match self.known.remove(&session) {
            Some(known) => {
                self.by_age.remove(&(known.used, session));
            }
            None if !begins => return,
            None if self.known.len() == self.most => {
                if let Some((_, oldest)) = self.by_age.pop_first() {
                    self.known.remove(&oldest);
                }
            }
            None => {}
        }
        self.known.insert(session, Known { peer, used: now });
        self.by_age.insert((now, session));
    }

    fn expire(&mut self, now: Time) {
        while let Some(&(used, session)) = self.by_age.first()
            && used + self.timeout <= now
        {
            self.by_age.pop_first();
            self.known.remove(&session);
        }
    }
}
