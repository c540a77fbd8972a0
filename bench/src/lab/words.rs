//! The words of nginx and of HAProxy that all their configurations here have in common.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;

use super::text;

/// An `nginx.conf` with one worker, one group of servers and one location that passes all to it. Directives stand
/// without indentation and semicolon, by their block.
pub(super) struct NginxConf<'a> {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// For its files.
    pub(super) folder: &'a Path,
    /// The name of its pid file there.
    pub(super) pid_file: &'a str,
    pub(super) main: &'a [String],
    pub(super) http: &'a [String],
    pub(super) upstream: &'a [String],
    pub(super) location: &'a [String],
}

impl NginxConf<'_> {
    /// The file.
    pub(super) fn text(&self) -> String {
        let pid = text(self.folder.join(self.pid_file));
        let temp = text(self.folder.join("temp"));
        let in_block = |depth: usize, lines: &[String]| {
            let line = |line: &String| format!("{}{line};\n", "    ".repeat(depth));
            lines.iter().map(line).collect::<String>()
        };
        let (main, http) = (in_block(0, self.main), in_block(1, self.http));
        let (upstream, location) = (in_block(2, self.upstream), in_block(3, self.location));
        let address = self.address;
        format!(
            "worker_processes 1;\n\
             pid {pid};\n\
             {main}\
             events {{ worker_connections 4096; multi_accept on; }}\n\
             http {{\n\
             \x20   access_log off;\n\
             \x20   client_body_temp_path {temp};\n\
             \x20   proxy_temp_path {temp};\n\
             \x20   fastcgi_temp_path {temp};\n\
             \x20   uwsgi_temp_path {temp};\n\
             \x20   scgi_temp_path {temp};\n\
             \x20   keepalive_requests 100000000;\n\
             {http}\
             \x20   upstream app {{\n\
             {upstream}\
             \x20       keepalive 64;\n\
             \x20       keepalive_requests 100000000;\n\
             \x20   }}\n\
             \x20   server {{\n\
             \x20       listen {address} backlog=1024;\n\
             \x20       location / {{\n\
             \x20           proxy_pass http://app;\n\
             \x20           proxy_http_version 1.1;\n\
             \x20           proxy_set_header Connection \"\";\n\
             {location}\
             \x20       }}\n\
             \x20   }}\n\
             }}\n"
        )
    }
}

/// An `haproxy.cfg` with one thread and one backend. Lines stand without indentation, by their section.
pub(super) struct HaproxyCfg<'a> {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// For a connection to a server.
    pub(super) connect_ms: u128,
    /// Between two reads from a server.
    pub(super) read_ms: u128,
    pub(super) global: &'a [String],
    pub(super) defaults: &'a [String],
    pub(super) backend: &'a [String],
}

impl HaproxyCfg<'_> {
    /// The file.
    pub(super) fn text(&self) -> String {
        let in_section =
            |lines: &[String]| lines.iter().map(|line| format!("    {line}\n")).collect::<String>();
        let [global, defaults, backend] = [self.global, self.defaults, self.backend].map(in_section);
        let HaproxyCfg { address, connect_ms, read_ms, .. } = self;
        format!(
            "global\n\
             \x20   nbthread 1\n\
             \x20   maxconn 4096\n\
             {global}\
             defaults\n\
             \x20   mode http\n\
             \x20   timeout connect {connect_ms}ms\n\
             \x20   timeout client 75s\n\
             \x20   timeout server {read_ms}ms\n\
             \x20   http-reuse always\n\
             {defaults}\
             frontend clients\n\
             \x20   bind {address}\n\
             \x20   default_backend app\n\
             backend app\n\
             {backend}"
        )
    }
}

/// Lines of a configuration.
pub(super) fn lines<T: Display>(lines: impl IntoIterator<Item = T>) -> Vec<String> {
    lines.into_iter().map(|line| line.to_string()).collect()
}
