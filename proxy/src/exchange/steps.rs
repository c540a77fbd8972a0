//! What an exchange asks of its driver, and what the driver tells it to choose by.

/// One of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that the client opened.
    Client,
    /// The one that was chosen for this request.
    Upstream,
}

/// What the sockets can do without blocking, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Receiving from the client may give bytes.
    pub client_readable: bool,
    /// Sending to the client may take bytes.
    pub client_writable: bool,
    /// Receiving from the upstream may give bytes.
    pub upstream_readable: bool,
    /// Sending to the upstream may take bytes.
    pub upstream_writable: bool,
}

/// What the driver is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until an event or a deadline.
    Wait,
    /// Receive into [`space`](super::Exchange::space), then say `filled`, `eof`, `failed` or `nothing_came`.
    Receive(Side),
    /// Send [`outgoing`](super::Exchange::outgoing), then say `flushed` or `failed`.
    Send(Side),
    /// Choose a server and a connection to it: say `chosen` and `connecting` or `acquired`, or say `queued` where the
    /// request is to wait for one, or `unavailable`.
    Acquire {
        /// On the server that was chosen last, over a new connection: the pooled one was dead.
        same_server: bool,
        /// Should the connection turn out dead, the request can be sent again.
        replay_safe: bool,
    },
    /// Part with the upstream connection.
    Release {
        /// It may serve another request.
        reusable: bool,
        /// A response came to its end; else the request was called off, for which the server is not to blame.
        served: bool,
    },
    /// Close the upstream connection and account for its [`failure`](super::Exchange::failure), then say
    /// `abandoned`.
    Abandon,
    /// Open the file [`wanted_file`](super::Exchange::wanted_file), then say `opened`.
    Open,
    /// Read from [`file_offset`](super::Exchange::file_offset) of the file that was opened last into
    /// [`file_space`](super::Exchange::file_space), then say `file_came`.
    Read,
    /// Say `counted`.
    Count,
    /// The request and its response are over and the connection persists: say `finish`.
    Finish,
    /// No more bytes go to this side: shut its sending direction, then say `shut`.
    Shutdown(Side),
    /// Close the client connection, and the upstream connection if there is one.
    Close {
        /// With a reset, so that what the client has cannot pass for a whole response.
        reset: bool,
    },
}
