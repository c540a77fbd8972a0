//! What can go wrong in a run, and how likely each of it is: drawn anew by every seed.

use proxy::time::Duration;

use super::chance::Chance;

/// Probabilities. The first group never is a reason for an error; everything in the others is.
pub(crate) struct Weather {
    /// A receive finds only part of what was sent: the rest arrives a moment later.
    pub(crate) short_read: f64,
    /// A send is taken in part though there was room.
    pub(crate) short_write: f64,
    /// These two move one byte where they strike.
    pub(crate) one_byte: f64,
    /// An event for a socket at which nothing has changed.
    pub(crate) spurious: f64,
    /// An event for a socket that has been closed.
    pub(crate) stale: f64,
    /// A call ends with `Interrupted`, a poll with nothing.
    pub(crate) interrupted: f64,
    /// Something arrives between the report of an event and the call that follows from it.
    pub(crate) race: f64,
    /// The worker comes late: what happens meanwhile is one batch.
    pub(crate) busy: f64,
    /// An origin closes an idle connection.
    pub(crate) idle_close: f64,
    /// An origin answers before it has the whole request.
    pub(crate) early: f64,
    /// An origin says `Connection: close`.
    pub(crate) says_close: f64,
    /// The most time between two parts of anything.
    pub(crate) gap: Duration,
    /// How long bytes are under way at most.
    pub(crate) latency: Duration,
    /// A reset takes with it what has not been read, and what was under way.
    pub(crate) harsh_resets: f64,
    /// Sizes of the sockets' buffers, at most.
    pub(crate) buffer_max: usize,

    pub(crate) refuse: f64,
    /// A connection is neither accepted nor refused.
    pub(crate) swallow: f64,
    /// An origin resets instead of answering.
    pub(crate) reset: f64,
    /// An origin closes or resets in the middle of an answer, or before it.
    pub(crate) truncate: f64,
    /// An origin's answer is not HTTP, or is framed badly.
    pub(crate) garbage: f64,
    /// An origin falls silent.
    pub(crate) stall: f64,
    /// An origin answers 502, 503 and the like.
    pub(crate) error_status: f64,
    /// Bytes behind the end of an answer.
    pub(crate) extra: f64,
    /// Bytes on an idle connection, such as a 408 before closing.
    pub(crate) unsolicited: f64,

    pub(crate) no_files_accept: f64,
    pub(crate) no_files_connect: f64,
    pub(crate) register_fails: f64,

    /// A client goes away when it likes, by closing or resetting.
    pub(crate) client_leaves: f64,
    /// A client stops in the middle of a request.
    pub(crate) client_stalls: f64,
    /// A client stops reading.
    pub(crate) client_deaf: f64,
    /// A request is malformed.
    pub(crate) malformed: f64,
    /// What follows the requests is only the beginning of one.
    pub(crate) unfinished: f64,

    /// This origin never does anything wrong, if there is one.
    pub(crate) saint: Option<usize>,
}

impl Weather {
    pub(crate) fn draw(chance: &mut Chance, origins: usize) -> Weather {
        let calm_servers = chance.yes(0.35);
        let calm_clients = chance.yes(0.35);
        let calm_machine = chance.yes(0.85);
        let mut benign = |most| chance.probability(0.5, most);
        let (short_read, short_write, one_byte) = (benign(1.0), benign(1.0), benign(1.0));
        let (spurious, stale, interrupted) = (benign(0.7), benign(0.7), benign(0.3));
        let (race, busy) = (benign(0.8), benign(0.6));
        let (idle_close, early, says_close) = (benign(0.8), benign(0.4), benign(0.5));
        let mut server = |most| if calm_servers { 0.0 } else { chance.probability(0.7, most) };
        let (refuse, swallow, reset) = (server(0.6), server(0.3), server(0.5));
        let (truncate, garbage, stall) = (server(0.5), server(0.4), server(0.3));
        let (error_status, extra, unsolicited) = (server(0.6), server(0.4), server(0.5));
        let mut machine = |most| if calm_machine { 0.0 } else { chance.probability(0.4, most) };
        let (no_files_accept, no_files_connect) = (machine(0.4), machine(0.3));
        let register_fails = machine(0.2);
        let mut client = |most| if calm_clients { 0.0 } else { chance.probability(0.6, most) };
        let (client_leaves, client_stalls, client_deaf) = (client(0.5), client(0.4), client(0.3));
        let (malformed, unfinished) = (client(0.5), client(0.6));
        let buffer_max = chance.of(&[16, 200, 1500, 8192, 65536, 262_144]);
        let gaps: &[u64] = if buffer_max <= 200 { &[0, 1, 10] } else { &[0, 1, 10, 100] };
        let millis = |chance: &mut Chance, list: &[u64]| Duration::from_millis(chance.of(list));
        Weather {
            short_read,
            short_write,
            one_byte,
            spurious,
            stale,
            interrupted,
            race,
            busy,
            idle_close,
            early,
            says_close,
            gap: millis(chance, gaps),
            latency: millis(chance, &[0, 1, 10, 50]),
            harsh_resets: chance.of(&[0.0, 0.5, 1.0]),
            buffer_max,
            refuse,
            swallow,
            reset,
            truncate,
            garbage,
            stall,
            error_status,
            extra,
            unsolicited,
            no_files_accept,
            no_files_connect,
            register_fails,
            client_leaves,
            client_stalls,
            client_deaf,
            malformed,
            unfinished,
            saint: chance.yes(0.4).then(|| chance.below(origins)),
        }
    }

    /// No more trouble from here on.
    pub(crate) fn clear_up(&mut self) {
        for trouble in [
            &mut self.refuse,
            &mut self.swallow,
            &mut self.reset,
            &mut self.truncate,
            &mut self.garbage,
            &mut self.stall,
            &mut self.error_status,
            &mut self.extra,
            &mut self.unsolicited,
            &mut self.no_files_accept,
            &mut self.no_files_connect,
            &mut self.register_fails,
            &mut self.spurious,
            &mut self.stale,
            &mut self.interrupted,
        ] {
            *trouble = 0.0;
        }
    }
}
