//! Sites and their locations: how a request is treated, and where it ends.

use std::sync::Arc;

use ipnet::IpNet;

pub use super::site_name::SiteName;
use super::template::{Template, Variable};
use super::{NextUpstream, Pattern, Resolver};
use crate::time::Duration;

/// One `server` block of `nginx.conf`; the command line makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What it is called (`server_name`).
    pub names: Vec<SiteName>,
    /// How its clients are treated before it is known what they ask for.
    pub client: ClientRules,
    /// Variables that get values before all else, in this order (`set` in the block itself).
    pub sets: Vec<Set>,
    /// What answers all requests before a location is looked for (`return` in the block itself).
    pub answer: Option<Answer>,
    /// What holds where no other location matches.
    pub location: Location,
    /// The locations, in the file's order.
    pub locations: Vec<Location>,
}

impl Site {
    /// A site that treats all requests alike.
    pub fn new(location: Location) -> Site {
        Site {
            names: Vec::new(),
            client: ClientRules::default(),
            sets: Vec::new(),
            answer: None,
            location,
            locations: Vec::new(),
        }
    }
}

/// A variable that gets a value (`set`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// [`Variable::Slot`] or [`Variable::Args`].
    pub variable: Variable,
    /// Its value.
    pub value: Template,
}

/// How the clients of a site are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// For a request's head, from its first byte (or from accepting) to its last (`client_header_timeout`).
    pub header_timeout: Duration,
    /// For the next request (`keepalive_timeout`); zero: no connection persists.
    pub keepalive_timeout: Duration,
    /// What `Keep-Alive: timeout=` says (the second value of `keepalive_timeout`).
    pub keepalive_header: Option<Duration>,
    /// The most requests over one connection (`keepalive_requests`).
    pub keepalive_requests: u64,
    /// The longest life of a connection that persists (`keepalive_time`).
    pub keepalive_time: Duration,
    /// The largest request or response head in bytes, first line included. 1 KiB to 1 MiB.
    pub max_header_size: usize,
    /// Fields with an underscore in their name pass (`underscores_in_headers`).
    pub underscores: bool,
    /// Fields with a name that is no token are left out, else they make a bad request (`ignore_invalid_headers`).
    pub ignores_invalid: bool,
    /// Peers whose word about the client's address is believed (`set_real_ip_from`).
    pub trusted: Vec<IpNet>,
    /// Peers on Unix sockets are believed too (`set_real_ip_from unix:`).
    pub trusts_unix: bool,
    /// Where they say it.
    pub real_ip: RealIp,
}

impl ClientRules {
    /// Whether fields with an underscore in their name are left out: one makes a name invalid, and invalid fields are
    /// (`ngx_http_parse_header_line`, `ngx_http_process_request_headers`).
    pub fn drops_underscores(&self) -> bool {
        self.ignores_invalid && !self.underscores
    }
}

/// Where a peer says who the client is (`real_ip_header`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RealIp {
    /// In `X-Forwarded-For`: the last address that is not trusted itself. What the command line gives.
    #[default]
    Forwarded,
    /// In a field.
    Field {
        /// Its name, in small letters.
        name: String,
        /// It is the last address that is not trusted itself, else the last one (`real_ip_recursive`).
        is_recursive: bool,
    },
    /// In the header of the PROXY protocol (`proxy_protocol`).
    ProxyProtocol,
}

impl Default for ClientRules {
    fn default() -> ClientRules {
        ClientRules {
            header_timeout: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(75),
            keepalive_header: None,
            keepalive_requests: u64::MAX,
            keepalive_time: Duration::from_secs(100 * 365 * 24 * 3600),
            max_header_size: 16 << 10,
            underscores: true,
            ignores_invalid: false,
            trusted: Vec::new(),
            trusts_unix: false,
            real_ip: RealIp::default(),
        }
    }
}

/// A part of a site's paths (`location`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Which paths; a site's own location is for the rest.
    pub matches: Match,
    /// It is for requests that the proxy sends here itself, as `error_page` does; others get 404 (`internal`).
    pub is_internal: bool,
    /// Variables that get values first, in this order (`set`).
    pub sets: Vec<Set>,
    /// What is looked for first (`try_files`).
    pub try_files: Option<TryFiles>,
    /// Where its files are, also where none of its requests ends in one (`$document_root`).
    pub files: Files,
    /// Where its requests end.
    pub action: Action,
    /// What is asked for without the slash at its end is sent to it: it says `proxy_pass`, if not where its requests end
    /// (nginx's `auto_redirect`).
    pub adds_slash: bool,
    /// How they get there.
    pub rules: Rules,
    /// How their clients are served, where that is not as in the rest of the site. What counts before the place of a
    /// request is known is the site's.
    pub client: Option<ClientRules>,
    /// Locations within it, in the file's order.
    pub nested: Vec<Location>,
}

impl Location {
    /// For all paths, with the command line's defaults.
    pub fn new(action: Action) -> Location {
        let matches = Match::Prefix { path: String::new(), is_final: false };
        Location {
            matches,
            is_internal: false,
            sets: Vec::new(),
            try_files: None,
            files: Files::default(),
            adds_slash: matches!(action, Action::Proxy(_)),
            action,
            rules: Rules::default(),
            client: None,
            nested: Vec::new(),
        }
    }

    /// Whether its requests, or those of a location within it, end there.
    pub fn ends_in(&self, action: &Action) -> bool {
        self.action == *action || self.nested.iter().any(|nested| nested.ends_in(action))
    }
}

/// Which paths a location is for. Paths are compared decoded, without dot segments and repeated slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `= /path`
    Exact(String),
    /// `/path`, and `^~ /path` where `is_final`: then no regular expression is tried.
    Prefix {
        /// The beginning of its paths.
        path: String,
        /// No regular expression is tried.
        is_final: bool,
    },
    /// `~ pattern` and `~* pattern`
    Regex(Pattern),
    /// `@name`: reached from `error_page` alone.
    Named(String),
}

/// Where a request ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// At a server (`proxy_pass`).
    Proxy(Pass),
    /// In an answer of the proxy's own (`return`).
    Answer(Answer),
    /// In a file (`root`, `alias`).
    File,
    /// In a few counters (`stub_status`).
    StubStatus,
}

/// To which servers requests go, and how they are called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Where to.
    pub target: PassTarget,
    /// Host and port as in `proxy_pass` (`$proxy_host`); also the `Host` of a request that has none.
    pub host: String,
    /// `$proxy_port`; `None` for a Unix socket.
    pub port: Option<u16>,
    /// What is asked for there.
    pub uri: PassUri,
}

impl Pass {
    /// To a group, with the path as it came.
    pub fn new(upstream: usize, host: String) -> Pass {
        Pass { target: PassTarget::Upstream(upstream), host, port: Some(80), uri: PassUri::AsItCame }
    }
}

/// Where `proxy_pass` leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassTarget {
    /// To this group, as an index.
    Upstream(usize),
    /// Where the template says, scheme and URI included (with variables in `proxy_pass`): to a group, an address or a
    /// name. Then nothing else is said of it here.
    Variable(Template),
}

/// What is asked for at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassUri {
    /// What the client asked for.
    AsItCame,
    /// That, with this in place of what the location matched.
    Replaced(String),
    /// This (with variables behind the host in `proxy_pass`).
    Whole(Template),
}

/// An answer of the proxy's own (`return`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0 to 999; 444 closes without a word.
    pub status: u16,
    /// The body, or for 301, 302, 303, 307 and 308 where to.
    pub text: Option<Template>,
}

/// Files below a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The folder (`root`), or what stands for what the location matched (`alias`); behind a regular expression the whole
    /// path. Absolute unless it begins with a variable.
    pub root: Template,
    /// It is an `alias`.
    pub is_alias: bool,
    /// How much of a path an `alias` stands for: what its location matched; 0 behind a regular expression.
    pub replaced: usize,
    /// What is looked for in a folder, in this order (`index`); one that begins with `/` is a path of the site.
    pub index: Vec<Template>,
    /// They have an `ETag` (`etag`).
    pub has_etag: bool,
    /// How `If-Modified-Since` is compared with the time of a file (`if_modified_since`).
    pub if_modified_since: IfModifiedSince,
    /// The most ranges of one request (`max_ranges`); 0: none.
    pub ranges_max: u32,
}

/// Files of which the first that is there stands for a request (`try_files`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryFiles {
    /// What they are called, in this order, and whether a folder is wanted.
    pub names: Vec<(Template, bool)>,
    /// Where none is there.
    pub otherwise: Otherwise,
}

/// What becomes of a request where no file is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It is answered with this status.
    Status(u16),
    /// It goes to the location of this name, `@name`, or to another path with other arguments.
    Place(Template),
}

/// How the time of a file is compared with that of a client's copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfModifiedSince {
    /// Not at all: the file is always sent.
    Off,
    /// They are equal.
    #[default]
    Exact,
    /// The file is not newer.
    Before,
}

/// How requests get to where they end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The bounds on every wait.
    pub timeouts: Timeouts,
    /// Which failures move a request to the next server (`proxy_next_upstream`).
    pub next_upstream: NextUpstream,
    /// The most servers tried for one request; 0: as many as there are (`proxy_next_upstream_tries`).
    pub tries: u32,
    /// No other server is tried after this time; zero: no bound (`proxy_next_upstream_timeout`).
    pub tries_timeout: Duration,
    /// The largest request body in bytes; 0: no bound (`client_max_body_size`).
    pub max_body_size: u64,
    /// The longest body in bytes that `$request_body` has (`client_body_buffer_size`).
    pub body_kept_max: usize,
    /// The address that connections to servers come from (`proxy_bind`), empty for any.
    pub bind: Option<Template>,
    /// What requests say to servers.
    pub forwarding: Forwarding,
    /// What responses say to clients.
    pub delivery: Delivery,
    /// Who is asked for names that `proxy_pass` with variables leads to; `None`: nobody can be.
    pub resolver: Option<Arc<Resolver>>,
    /// Answers in place of others (`error_page`), in the file's order.
    pub error_pages: Vec<ErrorPage>,
    /// One of them may lead to another (`recursive_error_pages`).
    pub recursive_error_pages: bool,
    /// `error_page` holds for servers' responses too (`proxy_intercept_errors`).
    pub intercepts_errors: bool,
    /// A short response is sent when all of it has come, as long as another server can answer (`proxy_buffering`).
    pub buffers_answers: bool,
    /// Whom to let in, the first that fits; nobody fits: all (`allow`, `deny`).
    pub access: Vec<Access>,
    /// Where its requests are logged.
    pub logs: Vec<Log>,
    /// The types of files by the ends of their names, in small letters (`types`).
    pub types: Arc<Vec<(String, String)>>,
    /// The type of all others (`default_type`).
    pub default_type: String,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            timeouts: Timeouts::default(),
            next_upstream: NextUpstream::default(),
            tries: 0,
            tries_timeout: Duration::ZERO,
            max_body_size: 1 << 20,
            body_kept_max: 8 << 10,
            bind: None,
            forwarding: Forwarding::Standard,
            delivery: Delivery::default(),
            resolver: None,
            error_pages: Vec::new(),
            recursive_error_pages: false,
            intercepts_errors: false,
            buffers_answers: true,
            access: Vec::new(),
            logs: Vec::new(),
            types: Arc::default(),
            default_type: "text/plain".to_owned(),
        }
    }
}

/// What a request says to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// The client's `Host`, `X-Forwarded-For`, `-Proto`, `-Host` and `X-Real-IP`: what the command line gives.
    Standard,
    /// What `nginx.conf` says.
    Listed(Listed),
}

/// What `nginx.conf` says that a request says to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Fields in their order, `Host` among them (`proxy_set_header`); one whose value is empty is not sent, nor
    /// is the client's field of that name.
    pub fields: Vec<(String, Template)>,
    /// The client's fields are left out (`proxy_pass_request_headers off`).
    pub drops_fields: bool,
    /// The body.
    pub body: PassBody,
    /// The method instead of the client's (`proxy_method`).
    pub method: Option<Template>,
    /// The version is HTTP/1.0, and no connection is kept (`proxy_http_version`).
    pub is_http10: bool,
    /// The largest head of a response in bytes (`proxy_buffer_size`).
    pub response_head_max: usize,
}

/// The body of a request to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassBody {
    /// The client's.
    #[default]
    Passed,
    /// None (`proxy_pass_request_body off`).
    Dropped,
    /// This one (`proxy_set_body`).
    Replaced(Template),
}

/// What a response says to a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Fields of servers that are left out, in small letters (`proxy_hide_header`).
    pub hidden: Vec<String>,
    /// Fields that are added (`add_header`).
    pub added: Vec<Added>,
    /// What `Location` and `Refresh` become (`proxy_redirect`), the first that fits.
    pub redirects: Vec<Redirect>,
    /// How redirects to a path here look.
    pub own_redirects: OwnRedirects,
}

impl Delivery {
    /// What stands in place of a validator of this name in responses of this status.
    pub fn validator(&self, name: &str, status: u16) -> Option<&Template> {
        let added = self.added.iter().rfind(|added| added.is_for(status) && added.validator() == Some(name));
        added.map(|added| &added.value)
    }
}

/// How redirects to a path here look: those that the proxy answers by itself, and a `Location` that has become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnRedirects {
    /// They have scheme and host (`absolute_redirect`).
    pub are_absolute: bool,
    /// The host is the site's first name, else what the client asked for (`server_name_in_redirect`).
    pub name_the_site: bool,
    /// They have the port, where it is not 80 (`port_in_redirect`).
    pub have_port: bool,
}

impl Default for OwnRedirects {
    /// As nginx.
    fn default() -> OwnRedirects {
        OwnRedirects { are_absolute: true, name_the_site: false, have_port: true }
    }
}

/// A field that responses get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its name.
    pub name: String,
    /// Its value; an empty one is not sent.
    pub value: Template,
    /// With any status, not only with 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308 (`always`).
    pub is_always: bool,
}

impl Added {
    /// Whether a response of this status gets it.
    pub fn is_for(&self, status: u16) -> bool {
        self.is_always || matches!(status, 200 | 201 | 204 | 206 | 301..=304 | 307 | 308)
    }

    /// The validator that it stands for, where it is one: no response has two (`ngx_http_set_last_modified`).
    pub fn validator(&self) -> Option<&'static str> {
        ["Last-Modified", "ETag"].into_iter().find(|name| name.eq_ignore_ascii_case(&self.name))
    }
}

/// What becomes of a `Location` that begins so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// What it begins with.
    pub from: RedirectFrom,
    /// What stands for that.
    pub to: Template,
}

/// What a `Location` begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectFrom {
    /// This text.
    Text(Template),
    /// What matches.
    Regex(Pattern),
}

/// An answer in place of others (`error_page`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// The statuses that it is for.
    pub statuses: Vec<u16>,
    /// The status that the client sees: as it was, that of the answer (`=`), or another (`=200`).
    pub status: PageStatus,
    /// A path of this site, `@name`, or an address to which the client is redirected.
    pub target: Template,
}

/// The status of an answer in place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// The one there was.
    Kept,
    /// The answer's own (`=`).
    Own,
    /// This one (`=200`).
    Set(u16),
}

/// Whether to let somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// It is `allow`.
    pub is_allowed: bool,
    /// For whom; `None`: for all.
    pub net: Option<IpNet>,
    /// For clients on Unix sockets.
    pub is_unix: bool,
}

/// One log of requests (`access_log`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The file.
    pub path: Template,
    /// The line (`log_format`), as an index.
    pub format: usize,
    /// Lines are gathered until they are so many bytes; 0: each is written at once.
    pub buffer: usize,
    /// The longest that a line is held back; zero: until the buffer is full.
    pub flush: Duration,
    /// A line is written unless this is empty or `0` (`if=`).
    pub condition: Option<Template>,
}

/// The bounds on every wait. None is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Connecting to a server.
    pub connect: Duration,
    /// Between two reads from a server.
    pub read: Duration,
    /// Between two writes to a server.
    pub send: Duration,
    /// Between two reads of a request body.
    pub client_body: Duration,
    /// Between two writes to a client.
    pub client_send: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            // Not nginx's 60 s: an address that swallows packets (a stopped container's) must not hold
            // a request for a minute. 4 s leaves room for two retransmissions of a SYN (at 1 s and 3 s).
            connect: Duration::from_secs(4),
            read: Duration::from_secs(60),
            send: Duration::from_secs(60),
            client_body: Duration::from_secs(60),
            client_send: Duration::from_secs(60),
        }
    }
}
