//! One `server` line of the upstream group, as words, and the list of lines that `--upstream` takes.
//!
//! The words are what nginx's `server` directive has for arguments (`ngx_http_upstream_server` in
//! `src/http/ngx_http_upstream.c`): an address, then parameters in any order.

use super::address::parse_host;
use super::units::{parse_number, parse_time};
use super::{Balance, Host, Server};
use crate::time::Duration;

/// The largest weight: the sum over ten thousand servers is still far from any overflow.
pub const WEIGHT_MAX: u32 = 1_000_000;

/// What a server has where its line does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerDefaults {
    /// Failures that take it out; 0: none does.
    pub max_fails: u32,
    /// The window of failures, and the time out.
    pub fail_timeout: Duration,
}

impl Default for ServerDefaults {
    /// One failure and 10 s, as nginx.
    fn default() -> ServerDefaults {
        ServerDefaults { max_fails: 1, fail_timeout: Duration::from_secs(10) }
    }
}

/// What is wrong with one `server` line. The text names the word at fault and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The first word is no address.
    #[error("{0}")]
    Address(String),
    /// A later word is no parameter, or its value is out of range.
    #[error("{text}")]
    Parameter {
        /// The word at fault, as written.
        word: String,
        /// What is wrong with it.
        text: String,
    },
}

/// What is wrong with a group of servers as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There is none.
    #[error("no server; name at least one, as in app1:5000")]
    Empty,
    /// Two lines are for the same place.
    #[error("{0} is there twice; list each server once, and use weight= to give it more")]
    Repeated(String),
    /// No request would ever reach the first choice.
    #[error("every server is a backup; leave at least one without it")]
    AllBackup,
    /// nginx: `balancing method does not support parameter "backup"`.
    #[error("{0} is a backup, which ip_hash does not support; drop it or choose another method")]
    BackupWithIpHash(String),
    /// nginx: `balancing method does not support parameter "slow_start=…"`.
    #[error("{0} has a slow_start, which ip_hash does not support; drop it or choose another method")]
    SlowStartWithIpHash(String),
}

/// What is wrong with a list of `server` lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// One line.
    #[error("{error}")]
    Server {
        /// The line, as written.
        line: String,
        /// Its error.
        error: ServerError,
    },
    /// All lines together.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// Reads the words of one `server` line: `["app1:5000", "weight=3", "backup"]`.
pub fn parse_server(words: &[&str], defaults: &ServerDefaults) -> Result<Server, ServerError> {
    let (name, parameters) = words.split_first().unwrap_or((&"", &[]));
    let host = parse_host(name).map_err(|error| ServerError::Address(error.to_string()))?;
    let mut server = Server::new(name, host);
    server.max_fails = defaults.max_fails;
    server.fail_timeout = defaults.fail_timeout;

    for (index, word) in parameters.iter().enumerate() {
        let fail = |text: String| ServerError::Parameter { word: (*word).to_owned(), text };
        let key = word.split_once('=').map_or(*word, |(key, _)| key);
        if parameters[..index].iter().any(|seen| seen.split_once('=').map_or(*seen, |(key, _)| key) == key) {
            return Err(fail(format!("{word:?} repeats a parameter; give {key} once")));
        }
        match word.split_once('=') {
            Some(("weight", value)) => {
                server.weight = number(value, 1, WEIGHT_MAX).ok_or_else(|| match parse_number(value) {
                    Some(0) => fail("weight=0 gives it no share; write 1 or more, or \"down\"".to_owned()),
                    _ => fail(format!("{word} is no weight; write 1 to {WEIGHT_MAX}")),
                })?;
            }
            Some(("max_fails", value)) => {
                server.max_fails = number(value, 0, u32::MAX).ok_or_else(|| {
                    fail(format!("{word} is no count; write 1 or more, or 0 to never take it out"))
                })?;
            }
            Some(("max_conns", value)) => {
                server.max_conns = number(value, 0, u32::MAX)
                    .ok_or_else(|| fail(format!("{word} is no count; write 1 or more, or 0 for no bound")))?;
            }
            Some(("fail_timeout", value)) => {
                server.fail_timeout =
                    parse_time(value).map_err(|error| fail(format!("{word} is {error}")))?;
            }
            Some(("slow_start", value)) => {
                server.slow_start = parse_time(value).map_err(|error| fail(format!("{word} is {error}")))?;
            }
            None if *word == "backup" => server.backup = true,
            None if *word == "down" => server.down = true,
            None if *word == "drain" => server.drain = true,
            None if parse_host(word).is_ok() && word.contains(':') => {
                return Err(fail(format!("{word:?} is no parameter; put a comma between servers")));
            }
            _ => {
                return Err(fail(format!(
                    "unknown parameter {word:?}; there are weight=, max_fails=, fail_timeout=, max_conns=, \
                     slow_start=, backup, down and drain"
                )));
            }
        }
    }
    Ok(server)
}

/// Reads `server` lines that are separated by commas: `app1:5000 weight=3,app2:5000 backup`.
pub fn parse_list(text: &str, defaults: &ServerDefaults) -> Result<Vec<Server>, ListError> {
    if text.trim().is_empty() {
        return Err(GroupError::Empty.into());
    }
    text.split(',')
        .map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let result = match words.is_empty() {
                true => Err(ServerError::Address("a comma without a server; drop the comma".to_owned())),
                false => parse_server(&words, defaults),
            };
            // Where the line is empty the list is what shows the culprit.
            let line = if words.is_empty() { text } else { line.trim() };
            result.map_err(|error| ListError::Server { line: line.to_owned(), error })
        })
        .collect()
}

/// Checks what only the whole group can show.
pub fn check_group(servers: &[Server], balance: Balance) -> Result<(), GroupError> {
    if servers.is_empty() {
        return Err(GroupError::Empty);
    }
    let mut places = std::collections::HashSet::new();
    for server in servers {
        let place = match &server.host {
            Host::Name(name, port) => Host::Name(name.to_ascii_lowercase(), *port),
            host => host.clone(),
        };
        if !places.insert(place) {
            return Err(GroupError::Repeated(server.name.clone()));
        }
    }
    if balance == Balance::IpHash
        && let Some(backup) = servers.iter().find(|server| server.backup)
    {
        return Err(GroupError::BackupWithIpHash(backup.name.clone()));
    }
    if balance == Balance::IpHash
        && let Some(slow) = servers.iter().find(|server| !server.slow_start.is_zero())
    {
        return Err(GroupError::SlowStartWithIpHash(slow.name.clone()));
    }
    if servers.iter().all(|server| server.backup) {
        return Err(GroupError::AllBackup);
    }
    Ok(())
}

/// A whole number within bounds.
fn number(text: &str, min: u32, max: u32) -> Option<u32> {
    u32::try_from(parse_number(text)?).ok().filter(|value| (min..=max).contains(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Server, ServerError> {
        let words: Vec<&str> = line.split(' ').collect();
        parse_server(&words, &ServerDefaults::default())
    }

    fn group(list: &str, balance: Balance) -> Result<Vec<Server>, String> {
        let servers = parse_list(list, &ServerDefaults::default()).map_err(|error| error.to_string())?;
        check_group(&servers, balance).map_err(|error| error.to_string())?;
        Ok(servers)
    }

    #[test]
    fn a_line_with_everything() {
        let line = "app1:5000 weight=3 max_fails=2 fail_timeout=1m30s max_conns=100 slow_start=20s \
                    backup down drain";
        assert_eq!(
            parse(line),
            Ok(Server {
                name: "app1:5000".to_owned(),
                host: Host::Name("app1".to_owned(), 5000),
                resolver: None,
                service: None,
                weight: 3,
                max_fails: 2,
                fail_timeout: Duration::from_secs(90),
                max_conns: 100,
                backup: true,
                down: true,
                drain: true,
                slow_start: Duration::from_secs(20),
                route: String::new(),
            })
        );
    }

    #[test]
    fn a_line_with_an_address_alone_has_the_defaults() {
        let defaults = ServerDefaults { max_fails: 7, fail_timeout: Duration::from_secs(3) };
        let server = parse_server(&["app1"], &defaults).expect("a server");
        assert_eq!(server.name, "app1", "named as written, though its port is 80");
        assert_eq!(server.host, Host::Name("app1".to_owned(), 80));
        assert_eq!((server.weight, server.max_fails, server.max_conns), (1, 7, 0));
        assert_eq!(server.fail_timeout, Duration::from_secs(3));
        assert!(!server.backup && !server.down);
    }

    #[test]
    fn zeros_that_mean_no_bound() {
        let server = parse("a max_fails=0 fail_timeout=0 max_conns=0").expect("a server");
        assert_eq!((server.max_fails, server.fail_timeout, server.max_conns), (0, Duration::ZERO, 0));
    }

    #[test]
    fn bad_lines_are_explained() {
        let known = "there are weight=, max_fails=, fail_timeout=, max_conns=, slow_start=, \
                     backup, down and drain";
        for (line, text) in [
            ("", "no host; write HOST:PORT".to_owned()),
            ("a:0", "port 0 is no port; give one from 1 to 65535".to_owned()),
            ("a weight=0", "weight=0 gives it no share; write 1 or more, or \"down\"".to_owned()),
            ("a weight=", "weight= is no weight; write 1 to 1000000".to_owned()),
            ("a weight=-1", "weight=-1 is no weight; write 1 to 1000000".to_owned()),
            ("a weight=1000001", "weight=1000001 is no weight; write 1 to 1000000".to_owned()),
            ("a weight=1.5", "weight=1.5 is no weight; write 1 to 1000000".to_owned()),
            (
                "a max_fails=x",
                "max_fails=x is no count; write 1 or more, or 0 to never take it out".to_owned(),
            ),
            (
                "a max_conns=4294967296",
                "max_conns=4294967296 is no count; write 1 or more, or 0 for no bound".to_owned(),
            ),
            (
                "a fail_timeout=10x",
                "fail_timeout=10x is not a time; write 10s, 500ms, 1m30s or 2h (a bare number is seconds)"
                    .to_owned(),
            ),
            (
                "a fail_timeout=36501d",
                "fail_timeout=36501d is too long; the longest time is 36500d".to_owned(),
            ),
            ("a weight=1 weight=2", "\"weight=2\" repeats a parameter; give weight once".to_owned()),
            ("a backup down backup", "\"backup\" repeats a parameter; give backup once".to_owned()),
            ("a b:5000", "\"b:5000\" is no parameter; put a comma between servers".to_owned()),
            ("a wieght=3", format!("unknown parameter \"wieght=3\"; {known}")),
            ("a weight", format!("unknown parameter \"weight\"; {known}")),
            ("a backup=1", format!("unknown parameter \"backup=1\"; {known}")),
            ("a Backup", format!("unknown parameter \"Backup\"; {known}")),
        ] {
            assert_eq!(parse(line).map_err(|error| error.to_string()), Err(text), "{line:?}");
        }
    }

    #[test]
    fn an_error_names_the_word_at_fault() {
        let error = parse("a backup weight=0").expect_err("weight=0");
        assert!(matches!(error, ServerError::Parameter { word, .. } if word == "weight=0"));
        assert!(matches!(parse("a:0"), Err(ServerError::Address(_))));
    }

    #[test]
    fn a_list_keeps_its_order() {
        let servers =
            group(" app2:5000  weight=2 ,\n\tapp1:5000,unix:/run/a.sock backup", Balance::LeastConn)
                .expect("a group");
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["app2:5000", "app1:5000", "unix:/run/a.sock"]);
        assert_eq!(servers[0].weight, 2);
        assert!(servers[2].backup);
    }

    #[test]
    fn bad_groups_are_explained() {
        use Balance::{IpHash, RoundRobin};
        for (list, balance, text) in [
            ("", RoundRobin, "no server; name at least one, as in app1:5000"),
            (" \n", RoundRobin, "no server; name at least one, as in app1:5000"),
            ("a:1,,b:1", RoundRobin, "a comma without a server; drop the comma"),
            ("a:1,", RoundRobin, "a comma without a server; drop the comma"),
            (
                "a:1,b:1,a:1",
                RoundRobin,
                "a:1 is there twice; list each server once, and use weight= to give it more",
            ),
            (
                "a,A:80",
                RoundRobin,
                "A:80 is there twice; list each server once, and use weight= to give it more",
            ),
            (
                "[::1]:1,[0:0::1]:1",
                RoundRobin,
                "[0:0::1]:1 is there twice; list each server once, and use weight= to give it more",
            ),
            ("a backup,b backup", RoundRobin, "every server is a backup; leave at least one without it"),
            (
                "a,b:1 backup",
                IpHash,
                "b:1 is a backup, which ip_hash does not support; drop it or choose another method",
            ),
            (
                "a,b:1 slow_start=1",
                IpHash,
                "b:1 has a slow_start, which ip_hash does not support; drop it or choose another method",
            ),
        ] {
            assert_eq!(group(list, balance), Err(text.to_owned()), "{list:?}");
        }
        assert!(group("a,b down", IpHash).is_ok());
        assert!(group("a down", RoundRobin).is_ok(), "as nginx: every request is a 502");
        assert!(group("a:1,a:2", RoundRobin).is_ok());
    }

    #[test]
    fn a_list_error_names_the_line_at_fault() {
        let line = |list| match parse_list(list, &ServerDefaults::default()) {
            Err(ListError::Server { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(line("a:1, b:1 weight=0 ,c:1"), "b:1 weight=0");
        assert_eq!(line("a:1,,c:1"), "a:1,,c:1");
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_an_error(text in "\\PC*|([a-c:0-9]{1,4} ?(weight=|backup|down|,|=)?){0,9}") {
            if let Ok(servers) = parse_list(&text, &ServerDefaults::default()) {
                prop_assert!(servers.iter().all(|server| (1..=WEIGHT_MAX).contains(&server.weight)));
            }
        }
    }
}
