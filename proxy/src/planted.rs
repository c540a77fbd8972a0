//! Bugs that can be planted, to show that the simulation finds such: only with the feature `planted-bugs`,
//! which no release build has.
//!
//! Each stands at its place in the code as `planted!(Bug)`, which is `false` in all other builds. One is at
//! work in a thread at a time, and none until [`plant`] says so.

use std::cell::Cell;

use slotmap::{Key, SlotMap};

/// Mistakes of the kinds that event loops and proxies are known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A receive that filled its space is taken to have drained the socket.
    LostReadEdge,
    /// A send that was taken whole is taken to have filled the socket.
    LostWriteEdge,
    /// An event for a closed connection is used for the one that has its slot now.
    StaleToken,
    /// A connection is pooled whatever came of its last response.
    PooledUnclean,
    /// Bytes that were there before the request are taken for a response to it.
    UnaskedResponse,
    /// A POST that may have been processed is sent again.
    ReplayedPost,
    /// Whether a request may be sent again is judged by the method that the client used, not by the one that was sent.
    JudgedByTheClient,
    /// A connection is pooled behind a request that said close.
    PooledBehindClose,
    /// A 100 of the proxy's own that is half sent is forgotten with the try that failed.
    HalfContinue,
    /// Trailer fields are dropped.
    MissedTrailer,
    /// A body of known length ends an octet early.
    BoundaryOffByOne,
    /// A body that was cut short passes for whole.
    CutAsWhole,
    /// A reset after a failed send is taken for the end of a body.
    ResetAsEnd,
    /// The answer to a refused request is written into an unfinished interim response.
    HalfInterim,
    /// A request that its client gave up counts as active for ever.
    LeakedActive,
    /// A deadline that has moved is forgotten.
    DeadlineLost,
    /// A deadline stays where it was though bytes move.
    DeadlineKept,
    /// A buffer is not given back.
    LeakedBuffer,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 18] = [
        Bug::LostReadEdge,
        Bug::LostWriteEdge,
        Bug::StaleToken,
        Bug::PooledUnclean,
        Bug::UnaskedResponse,
        Bug::ReplayedPost,
        Bug::JudgedByTheClient,
        Bug::PooledBehindClose,
        Bug::HalfContinue,
        Bug::MissedTrailer,
        Bug::BoundaryOffByOne,
        Bug::CutAsWhole,
        Bug::ResetAsEnd,
        Bug::HalfInterim,
        Bug::LeakedActive,
        Bug::DeadlineLost,
        Bug::DeadlineKept,
        Bug::LeakedBuffer,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Sets the bug that is at work in this thread from now on.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is at work.
pub fn is_on(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// With [`Bug::StaleToken`], the key that is now in the slot of `key`; else `key`.
pub(crate) fn slot_of<K: Key, V>(map: &SlotMap<K, V>, key: K) -> K {
    let slot = |key: K| key.data().as_ffi() as u32;
    let now = map.keys().find(|other| slot(*other) == slot(key));
    now.filter(|_| is_on(Bug::StaleToken)).unwrap_or(key)
}
