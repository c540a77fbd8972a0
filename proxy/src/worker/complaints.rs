//! What is said in the error log of a try that failed at its server, in nginx's words (`ngx_http_upstream.c`).

use std::io::{Error, ErrorKind};

use rustix::io::Errno;

use super::clients::Client;
use super::pool::Pools;
use super::upstreams::group_of;
use crate::config::nginx::shown;
use crate::config::template::Variable;
use crate::exchange::Failure;

/// How far a try had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No final response had begun.
    Head,
    /// One had.
    Body,
    /// The connections had become a tunnel.
    Tunnel,
}

impl Stage {
    /// That of the client's try.
    pub(super) fn of<S, F>(client: &Client<S, F>) -> Stage {
        match (client.exchange.is_tunnel(), client.exchange.was_answered()) {
            (true, _) => Stage::Tunnel,
            (false, true) => Stage::Body,
            (false, false) => Stage::Head,
        }
    }

    fn reading(self) -> &'static str {
        match self {
            Stage::Head => "reading response header from upstream",
            Stage::Body => "reading upstream",
            Stage::Tunnel => "proxying upgraded connection",
        }
    }

    fn sending(self) -> &'static str {
        match self {
            Stage::Head | Stage::Body => "sending request to upstream",
            Stage::Tunnel => "proxying upgraded connection",
        }
    }
}

/// Says that the client's try failed at its server. Nothing is said of what is no failure of a connection, or has a
/// line of its own.
#[cold]
pub(super) fn complain<S, F>(client: &Client<S, F>, pools: &Pools, failure: Failure, stage: Stage) {
    let Some(what) = words(failure, stage) else { return };
    let exchange = &client.exchange;
    let from = exchange.client().map_or_else(|| "unix:".to_owned(), |address| address.to_string());
    let server = &exchange.place().name;
    let group = client.chosen.and_then(|chosen| group_of(client, pools, chosen.group));
    // Not locked while the line is written.
    let address = group
        .zip(client.chosen)
        .and_then(|(group, chosen)| Some(group.lock().peer(chosen.peer)?.address_text().clone()));
    let address = address.as_deref().unwrap_or_default();
    let kept = |name, variable| {
        let value = exchange.kept_of_head(&variable).filter(|value| !value.is_empty());
        value.map(|value| format!(", {name}: \"{}\"", String::from_utf8_lossy(value))).unwrap_or_default()
    };
    let request = kept("request", Variable::Request);
    let host = kept("host", Variable::Http("host".into()));
    log::error!("{what}, client: {from}, server: {server}{request}, upstream: \"http://{address}\"{host}");
}

/// What happened while what was done; `None` where nothing is to be said.
fn words(failure: Failure, stage: Stage) -> Option<String> {
    let (reading, sending) = (stage.reading(), stage.sending());
    Some(match failure {
        Failure::Connect(kind) => format!("connect() failed ({}) while connecting to upstream", system(kind)),
        Failure::ConnectTimeout => timed_out("connecting to upstream"),
        Failure::SendTimeout => timed_out(sending),
        Failure::ReadTimeout => timed_out(reading),
        // Its other end is closed: only sending finds that.
        Failure::Reset(kind @ ErrorKind::BrokenPipe) => {
            format!("send() failed ({}) while {sending}", system(kind))
        }
        Failure::Reset(kind) => format!("recv() failed ({}) while {reading}", system(kind)),
        Failure::Closed => format!("upstream prematurely closed connection while {reading}"),
        Failure::Unasked => {
            format!("upstream sent data or closed connection before the request while {sending}")
        }
        Failure::Invalid(why) if stage == Stage::Body => {
            format!("upstream sent invalid chunked response: {why} while {reading}")
        }
        Failure::Invalid(why) => format!("upstream sent invalid header: {why} while {reading}"),
        Failure::HeadTooLarge => format!("upstream sent too big header while {reading}"),
        Failure::Unresolved
        | Failure::ResolveTimeout
        | Failure::Local(_)
        | Failure::Status(_)
        | Failure::Refused(_)
        | Failure::Intercepted(_) => return None,
    })
}

fn timed_out(doing: &str) -> String {
    format!("upstream timed out ({}) while {doing}", system(ErrorKind::TimedOut))
}

/// What the system calls an error of this kind: `111: Connection refused`.
fn system(kind: ErrorKind) -> String {
    let known = [
        Errno::CONNREFUSED,
        Errno::CONNRESET,
        Errno::TIMEDOUT,
        Errno::HOSTUNREACH,
        Errno::NETUNREACH,
        Errno::NETDOWN,
        Errno::CONNABORTED,
        Errno::PIPE,
        Errno::NOENT,
        Errno::ACCESS,
    ];
    let error = known.into_iter().map(Error::from).find(|error| error.kind() == kind);
    error.map_or_else(|| kind.to_string(), |error| shown(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_called_as_the_system_calls_it() {
        for (kind, text) in [
            (ErrorKind::ConnectionRefused, "111: Connection refused"),
            (ErrorKind::ConnectionReset, "104: Connection reset by peer"),
            (ErrorKind::TimedOut, "110: Connection timed out"),
            (ErrorKind::HostUnreachable, "113: No route to host"),
            (ErrorKind::NetworkUnreachable, "101: Network is unreachable"),
            (ErrorKind::BrokenPipe, "32: Broken pipe"),
            (ErrorKind::NotFound, "2: No such file or directory"),
            (ErrorKind::PermissionDenied, "13: Permission denied"),
            (ErrorKind::WriteZero, "write zero"),
        ] {
            assert_eq!(system(kind), text);
        }
    }

    #[test]
    fn what_happened_is_said_with_what_was_done() {
        let refused = Failure::Connect(ErrorKind::ConnectionRefused);
        let reset = Failure::Reset(ErrorKind::ConnectionReset);
        for (failure, stage, text) in [
            (refused, Stage::Head, "connect() failed (111: Connection refused) while connecting to upstream"),
            (
                Failure::ConnectTimeout,
                Stage::Head,
                "upstream timed out (110: Connection timed out) while connecting to upstream",
            ),
            (
                Failure::SendTimeout,
                Stage::Head,
                "upstream timed out (110: Connection timed out) while sending request to upstream",
            ),
            (
                Failure::ReadTimeout,
                Stage::Body,
                "upstream timed out (110: Connection timed out) while reading upstream",
            ),
            (
                reset,
                Stage::Head,
                "recv() failed (104: Connection reset by peer) while reading response header from upstream",
            ),
            (
                reset,
                Stage::Tunnel,
                "recv() failed (104: Connection reset by peer) while proxying upgraded connection",
            ),
            (
                Failure::Reset(ErrorKind::BrokenPipe),
                Stage::Head,
                "send() failed (32: Broken pipe) while sending request to upstream",
            ),
            (Failure::Closed, Stage::Body, "upstream prematurely closed connection while reading upstream"),
            (
                Failure::Invalid("x"),
                Stage::Body,
                "upstream sent invalid chunked response: x while reading upstream",
            ),
        ] {
            assert_eq!(words(failure, stage).as_deref(), Some(text));
        }
        for failure in [Failure::Status(502), Failure::Unresolved, Failure::Local(ErrorKind::Other)] {
            assert_eq!(words(failure, Stage::Head), None);
        }
    }
}
