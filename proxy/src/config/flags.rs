//! The command line: every flag, and the way from arguments to a checked [`Config`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Command, CommandFactory, FromArgMatches, Parser};
use ipnet::IpNet;
use log::LevelFilter;

use super::exit::{Exit, from_clap, invalid};
use super::server::{GroupError, ListError, ServerDefaults, check_group, parse_list};
use super::values::{self, number, wait};

use super::{
    Balance, ClientRules, Config, HealthCheck, Listen, Listener, NextUpstream, Process, Rules, Timeouts, help,
};
use crate::time::Duration;

/// The flags, each value checked by itself. Their descriptions are the help's text, line by line.
#[derive(Debug, Parser)]
#[command(name = "proxy", version, disable_help_flag = true, disable_version_flag = true)]
#[command(next_help_heading = "Servers")]
struct Flags {
    /// where requests go, separated by commas
    ///
    /// Each server is HOST:PORT, IP:PORT, [IPV6]:PORT or unix:PATH (port 80 if
    /// none is given), then what nginx's "server" line takes:
    ///   weight=N           its share of the requests [1]
    ///   max_fails=N        as --max-fails, for this server
    ///   fail_timeout=TIME  as --fail-timeout, for this server
    ///   max_conns=N        requests at once [0: no bound]
    ///   slow_start=TIME    its share grows for so long after it came back [0]
    ///   backup             only while no other server can
    ///   down               never
    ///   drain              none but those that are bound to it
    /// May be repeated; the lists are joined.
    #[arg(long, value_name = "SERVERS", verbatim_doc_comment)]
    upstream: Vec<String>,

    /// how a server is chosen
    ///
    /// round_robin: in turn, by weight; fair while requests cost alike.
    /// least_conn: fewest requests in flight; for uneven ones. least_time: the
    /// same, times how long a server takes to begin its response; for uneven
    /// servers. ip_hash: by the client's address (of IPv4 the first three
    /// numbers), so that clients keep their server; all behind one NAT share
    /// theirs.
    #[arg(long, value_name = "METHOD", default_value = "round_robin", value_parser = values::balance)]
    #[arg(verbatim_doc_comment)]
    balance: Balance,

    /// failures that take a server out
    ///
    /// For servers without max_fails=; 0: none does. One, as in nginx: the next
    /// server is tried at once, so leaving one out early costs little. A server
    /// that is alone is never taken out.
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::<u32>(0, u32::MAX.into()))]
    #[arg(verbatim_doc_comment)]
    max_fails: u32,

    /// how long it is out, and failures count
    ///
    /// For servers without fail_timeout=. As in nginx: long enough to restart.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::time)]
    #[arg(verbatim_doc_comment)]
    fail_timeout: Duration,

    /// when to try another server
    ///
    /// Any of error, timeout, invalid_header, http_500, http_502, http_503,
    /// http_504, http_403, http_404, http_429; or off. What a server may have
    /// acted upon (POST, PATCH, LOCK) is not sent twice, unless non_idempotent
    /// is added. As in nginx: an answer, even a bad one, is the server's word.
    #[arg(long, value_name = "WORDS", default_value = "error,timeout")]
    #[arg(value_parser = values::next_upstream, verbatim_doc_comment)]
    next_upstream: NextUpstream,

    /// servers tried for a request; 0: all
    ///
    /// As in nginx: a request fails only after every server had its chance.
    #[arg(long, value_name = "N", default_value = "0", value_parser = number::<u32>(0, u32::MAX.into()))]
    #[arg(verbatim_doc_comment)]
    tries: u32,

    /// a path that each server is asked for
    ///
    /// /healthz, say. A server whose answer is not 2xx or 3xx, or does not come
    /// within --health-interval, gets no request until it answers well again.
    /// Without this flag failures are learnt from requests alone.
    #[arg(long, value_name = "URI", value_parser = values::uri, verbatim_doc_comment)]
    health_check: Option<String>,

    /// how often it is asked for
    ///
    /// As in nginx: a server that is ill is found within this time.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = wait)]
    #[arg(requires = "health_check", verbatim_doc_comment)]
    health_interval: Duration,

    /// idle connections to keep, per worker
    ///
    /// To all servers together; each saves a request the connecting. More than
    /// nginx's 32, as a burst would close and open those beyond; 0 keeps none.
    #[arg(long, value_name = "N", default_value = "64", value_parser = number::<usize>(0, 1_000_000))]
    #[arg(verbatim_doc_comment)]
    keepalive: usize,

    /// how often names are resolved anew
    ///
    /// Bounds how long a container that came back under another address goes
    /// unnoticed; names are also resolved at once when connecting fails.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = wait)]
    #[arg(verbatim_doc_comment)]
    resolve_interval: Duration,

    /// do not start without all addresses
    ///
    /// A name that does not resolve is fatal at start. By default it is logged
    /// and tried again, as servers may start after the proxy.
    #[arg(long, verbatim_doc_comment)]
    strict_names: bool,

    /// where clients connect
    ///
    /// 8080, :8080 or *:8080 (all IPv4 addresses), 127.0.0.1:8080, [::1]:8080 or
    /// unix:PATH. May be repeated. 8080: a port below 1024 takes privileges.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080", value_parser = values::listen)]
    #[arg(help_heading = "Clients", verbatim_doc_comment)]
    listen: Vec<Listen>,

    /// proxies whose X-Forwarded-For counts
    ///
    /// Networks (10.0.0.0/8) or addresses, separated by commas; may be repeated.
    /// The client's address, for ip_hash and logs, is then the last one in that
    /// field that is not trusted itself. None by default: anyone can send it.
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',', value_parser = values::network)]
    #[arg(help_heading = "Clients", verbatim_doc_comment)]
    trust_forwarded: Vec<IpNet>,

    /// largest request body; 0: no bound
    ///
    /// A larger one is answered 413. As in nginx: uploads are to be allowed by
    /// someone who knows the servers. Memory does not grow with bodies.
    #[arg(long, value_name = "SIZE", default_value = "1m", value_parser = values::size)]
    #[arg(help_heading = "Clients", verbatim_doc_comment)]
    max_body_size: u64,

    /// largest request or response head
    ///
    /// First line and fields together, 1k to 1m. 16k: what common servers allow.
    #[arg(long, value_name = "SIZE", default_value = "16k", value_parser = values::head_size)]
    #[arg(help_heading = "Clients", verbatim_doc_comment)]
    max_header_size: usize,

    /// clients at once, over all workers
    ///
    /// For those beyond, clients that are idle for longest give way, or else they
    /// wait in the kernel's queue. Each takes up to two descriptors,
    /// and 20,000 of them are within what most systems allow; the soft limit is
    /// raised at start, and a warning says if that is not enough.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = number::<usize>(1, 10_000_000))]
    #[arg(help_heading = "Clients", verbatim_doc_comment)]
    max_connections: usize,

    /// connecting to a server
    ///
    /// Not nginx's 60s: a stopped container's address swallows packets, and no
    /// request should hang on it for a minute. 4s outlasts two lost packets.
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = wait)]
    #[arg(help_heading = "Timeouts", verbatim_doc_comment)]
    connect_timeout: Duration,

    /// between two reads from a server
    ///
    /// Then the answer is 504. As in nginx: longer than most slow requests take.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = wait)]
    #[arg(help_heading = "Timeouts", verbatim_doc_comment)]
    read_timeout: Duration,

    /// between two writes, to either side
    ///
    /// As in nginx: bounds a peer that stopped reading, not a slow one.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = wait)]
    #[arg(help_heading = "Timeouts", verbatim_doc_comment)]
    send_timeout: Duration,

    /// receiving the whole head of a request
    ///
    /// Not started anew by each byte, so that a trickle does not stretch it. As
    /// in nginx.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = wait)]
    #[arg(help_heading = "Timeouts", verbatim_doc_comment)]
    client_header_timeout: Duration,

    /// between two reads of a request body
    ///
    /// As in nginx: bounds a client that stopped sending, not a slow one.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = wait)]
    #[arg(help_heading = "Timeouts", verbatim_doc_comment)]
    client_body_timeout: Duration,

    /// client connection between requests
    ///
    /// As in nginx: longer than the pause of someone who reads a page.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = wait)]
    #[arg(help_heading = "Timeouts", verbatim_doc_comment)]
    keepalive_timeout: Duration,

    /// idle connection to a server
    ///
    /// As in nginx. Best below what the servers allow, so that they do not close
    /// first.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = wait)]
    #[arg(help_heading = "Timeouts", verbatim_doc_comment)]
    upstream_idle_timeout: Duration,

    /// a line per request: a file, - or off
    ///
    /// A file is appended to, and reopened on USR1; - is standard output. off:
    /// a log that nobody rotates fills the disk.
    #[arg(long, value_name = "PATH", default_value = "off", value_parser = values::log_path)]
    #[arg(help_heading = "Process", verbatim_doc_comment)]
    access_log: String,

    /// error, warn, info or debug
    ///
    /// What goes to standard error. info: start, end, and each server that goes
    /// down or comes back. nginx's other words stand for the nearest of these.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = values::log_level)]
    #[arg(help_heading = "Process", verbatim_doc_comment)]
    log_level: LevelFilter,

    /// threads that serve: a number or auto
    ///
    /// auto: one for each core this process may use, as a worker never waits.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = values::workers)]
    #[arg(help_heading = "Process", verbatim_doc_comment)]
    workers: usize,

    /// file with the process id while running
    ///
    /// Written once every address is bound, so that it says the proxy is ready.
    #[arg(long, value_name = "PATH")]
    #[arg(help_heading = "Process", verbatim_doc_comment)]
    pid_file: Option<PathBuf>,

    /// this help; -h: one line per flag
    #[arg(short, long, action = clap::ArgAction::Help, help_heading = "Process")]
    help: Option<bool>,

    /// the version
    #[arg(long, action = clap::ArgAction::Version, help_heading = "Process")]
    version: Option<bool>,
}

/// Reads the arguments, the program's own name first, as [`std::env::args_os`] gives them.
///
/// Nothing is bound, opened or printed here, and no environment variable is read.
///
/// # Errors
///
/// [`Exit`] is what to print and the status to end with: help and version on standard output with
/// status 0, anything wrong as one line on standard error with status 2.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Config, Exit> {
    command()
        .try_get_matches_from(args)
        .and_then(|matches| Flags::from_arg_matches(&matches))
        .map_err(|error| from_clap(&error))?
        .check()
}

/// The flags with their help. clap shows the one text for `-h` and the other for `--help`.
fn command() -> Command {
    let command = Flags::command().mut_args(|arg| match arg.get_action().takes_values() {
        // So that `--tries -1` is a bad value of --tries, not an unknown flag.
        true => arg.allow_negative_numbers(true),
        false => arg,
    });
    let (short, long) = (help::short(&command), help::long(&command));
    // A width of 0 leaves the lines as they are.
    command.about(short).long_about(long).help_template("{about}").term_width(0)
}

impl Flags {
    /// What no single flag can show: the servers with their defaults, and each list as a whole.
    fn check(self) -> Result<Config, Exit> {
        if self.upstream.is_empty() {
            return Err(Exit::bad(
                "--upstream is missing; name the servers, as in --upstream app1:5000,app2:5000",
            ));
        }
        let defaults = ServerDefaults { max_fails: self.max_fails, fail_timeout: self.fail_timeout };
        let mut servers = Vec::new();
        for list in &self.upstream {
            servers.extend(parse_list(list, &defaults).map_err(|error| match &error {
                ListError::Server { line, error } => invalid("--upstream", line, error),
                ListError::Group(error) => invalid("--upstream", list, error),
            })?);
        }
        check_group(&servers, self.balance).map_err(|error| match &error {
            GroupError::BackupWithIpHash(_) | GroupError::SlowStartWithIpHash(_) => {
                invalid("--balance", "ip_hash", &error)
            }
            _ => Exit::bad(&format!("invalid servers for --upstream: {error}")),
        })?;
        for (index, listen) in self.listen.iter().enumerate() {
            if self.listen[..index].contains(listen) {
                return Err(invalid("--listen", &listen.to_string(), &"it is there twice; drop one"));
            }
        }
        let host = servers[0].default_host();
        let checks = self.health_check.iter().map(|uri| self.health(uri, &host)).collect();
        let mut config = Config::new(servers);
        config.process = Process {
            workers: self.workers,
            max_connections: self.max_connections,
            log_level: self.log_level,
            pid_file: self.pid_file,
            strict_names: self.strict_names,
            resolve_interval: self.resolve_interval,
            ..Process::default()
        };
        config.listeners = self.listen.into_iter().map(Listener::new).collect();
        let [upstream] = config.upstreams.as_mut_slice() else { unreachable!("there is one group") };
        upstream.balance = self.balance;
        upstream.keepalive = self.keepalive;
        upstream.idle_timeout = self.upstream_idle_timeout;
        upstream.checks = checks;
        let [site] = config.sites.as_mut_slice() else { unreachable!("there is one site") };
        site.client = ClientRules {
            header_timeout: self.client_header_timeout,
            keepalive_timeout: self.keepalive_timeout,
            max_header_size: self.max_header_size,
            trusted: self.trust_forwarded,
            ..ClientRules::default()
        };
        site.location.rules = Rules {
            timeouts: Timeouts {
                connect: self.connect_timeout,
                read: self.read_timeout,
                send: self.send_timeout,
                client_body: self.client_body_timeout,
                client_send: self.send_timeout,
            },
            next_upstream: self.next_upstream,
            tries: self.tries,
            max_body_size: self.max_body_size,
            ..Rules::default()
        };
        if self.access_log != "off" {
            config.log_to(&self.access_log);
        }
        Ok(config)
    }

    /// The check of `--health-check`. All of it ends within the interval, as the flag's help says.
    fn health(&self, uri: &str, host: &str) -> HealthCheck {
        let mut check = HealthCheck::new(uri, host);
        check.interval = self.health_interval;
        check.response_head_max = self.max_header_size;
        check.time_in_all = Some(self.health_interval);
        check.timeouts.connect = self.connect_timeout;
        check.timeouts.send = self.send_timeout;
        check.timeouts.read = self.read_timeout;
        check
    }
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
