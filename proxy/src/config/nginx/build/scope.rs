//! What can be set on several levels, and how an inner level takes over from an outer one.
//!
//! Every setting is there or not. One that is not there is taken over whole from the level outside: also
//! one that is a list, to which an inner level therefore never adds. That is how nginx merges
//! (`ngx_http_merge_servers`, `ngx_conf_merge_value` and its kin).

use std::sync::Arc;

use ipnet::IpNet;

use super::resolver::Asking;
use super::variables::Text;
use crate::config::site::{Access, IfModifiedSince, PageStatus};
use crate::config::{NextUpstream, Pattern};
use crate::time::Duration;

macro_rules! scope {
    ($($(#[doc = $doc:literal])* $field:ident: $type:ty,)*) => {
        /// The settings of one level.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Scope {
            $($(#[doc = $doc])* pub(super) $field: Option<$type>,)*
            /// `resolver`, which is two settings.
            pub(super) asking: Asking,
        }

        impl Scope {
            /// Takes over what is not set here.
            pub(super) fn inherit(&mut self, outer: &Scope) {
                $(
                    if self.$field.is_none() {
                        self.$field.clone_from(&outer.$field);
                    }
                )*
                self.asking.inherit(&outer.asking);
            }
        }
    };
}

scope! {
    client_header_timeout: Duration,
    client_body_timeout: Duration,
    send_timeout: Duration,
    client_max_body_size: u64,
    client_body_buffer_size: u64,
    /// Number and size.
    large_client_header_buffers: (u64, u64),
    ignore_invalid_headers: bool,
    underscores_in_headers: bool,
    /// The timeout, and what is told of it.
    keepalive_timeout: (Duration, Option<Duration>),
    keepalive_requests: u64,
    keepalive_time: Duration,
    set_real_ip_from: Vec<Trusted>,
    real_ip_header: String,
    real_ip_recursive: bool,
    access: Vec<Access>,
    access_log: Logs,
    /// Without effect: no version is told.
    server_tokens: bool,
    error_page: Vec<Page>,
    recursive_error_pages: bool,
    add_header: Vec<Field>,
    absolute_redirect: bool,
    server_name_in_redirect: bool,
    port_in_redirect: bool,
    root: Root,
    index: Vec<Text>,
    types: Arc<Vec<(String, String)>>,
    default_type: String,
    etag: bool,
    if_modified_since: IfModifiedSince,
    max_ranges: u64,
    proxy_http_version: bool,
    proxy_set_header: Vec<Field>,
    proxy_pass_request_headers: bool,
    proxy_pass_request_body: bool,
    proxy_set_body: Text,
    /// Nothing for `off`.
    proxy_bind: Option<Text>,
    proxy_method: Text,
    /// Nothing for `off`.
    proxy_connect_timeout: Duration,
    proxy_send_timeout: Duration,
    proxy_read_timeout: Duration,
    proxy_next_upstream: NextUpstream,
    proxy_next_upstream_tries: u64,
    proxy_next_upstream_timeout: Duration,
    /// In lower case.
    proxy_hide_header: Vec<String>,
    /// In lower case.
    proxy_pass_header: Vec<String>,
    /// Nothing for `off`.
    proxy_redirect: Option<Vec<Change>>,
    proxy_intercept_errors: bool,
    proxy_buffering: bool,
    proxy_buffer_size: u64,
}

/// Whose word about the client is believed.
#[derive(Clone, Debug)]
pub(super) enum Trusted {
    Unix,
    Net(IpNet),
}

/// Logs of requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs {
    /// None at all, whatever is listed.
    pub(super) is_off: bool,
    pub(super) logs: Vec<Log>,
}

/// A log of requests.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) path: Text,
    pub(super) format: usize,
    pub(super) buffer: Option<u64>,
    pub(super) flush: Option<Duration>,
    pub(super) condition: Option<Text>,
}

/// Where some statuses lead.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) statuses: Vec<u16>,
    pub(super) to: Text,
    pub(super) answers: PageStatus,
}

/// A field that is set, of a request or of a response.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Text,
    /// Of responses: whatever the status is.
    pub(super) always: bool,
}

/// A folder of static files.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) path: Text,
    pub(super) is_alias: bool,
    /// How much of a path an `alias` stands for.
    pub(super) replaced: usize,
}

/// A change of `Location` and `Refresh`.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) from: ChangeFrom,
    pub(super) to: Text,
}

/// What a change is for.
#[derive(Clone, Debug)]
pub(super) enum ChangeFrom {
    Prefix(Text),
    Pattern(Pattern),
}
