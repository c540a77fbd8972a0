//! The minimal tuned configuration of each subject that has a file for it.
//!
//! All have one worker, keep-alive to their servers, no access log, and send the fields that the proxy sends by itself
//! (`X-Real-IP` and `X-Forwarded-For`, `-Proto`, `-Host`), so that all do the same work.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::text;
use super::words::{HaproxyCfg, NginxConf, lines};

/// Started by root, the worker stays root, since callgrind writes its file under the worker's name (else the line is
/// ignored).
pub(super) fn nginx_conf(address: SocketAddr, servers: &[SocketAddr], folder: &Path) -> String {
    let server = |server: &SocketAddr| format!("server {server} max_fails=3 fail_timeout=10s");
    NginxConf {
        address,
        folder,
        pid_file: "nginx.pid",
        main: &lines(["daemon off", "user root", "error_log stderr error"]),
        http: &lines(["tcp_nodelay on", "client_max_body_size 0", "keepalive_timeout 75s"]),
        upstream: &servers.iter().map(server).collect::<Vec<_>>(),
        location: &lines([
            "proxy_request_buffering off",
            "proxy_max_temp_file_size 0",
            "proxy_set_header Host $host",
            "proxy_set_header X-Real-IP $remote_addr",
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for",
            "proxy_set_header X-Forwarded-Proto $scheme",
            "proxy_set_header X-Forwarded-Host $host",
        ]),
    }
    .text()
}

pub(super) fn haproxy_cfg(address: SocketAddr, servers: &[SocketAddr]) -> String {
    let mut backend = lines([
        "balance roundrobin",
        "http-request set-header X-Forwarded-Proto http",
        "http-request set-header X-Forwarded-Host %[req.hdr(Host)]",
        "http-request set-header X-Real-IP %[src]",
    ]);
    backend.extend(servers.iter().zip(1..).map(|(server, number)| format!("server app{number} {server}")));
    HaproxyCfg {
        address,
        connect_ms: 5_000,
        read_ms: 60_000,
        global: &[],
        defaults: &lines(["option forwardfor"]),
        backend: &backend,
    }
    .text()
}

/// It routes by host name; `*` is any. Its workers are processes, started by a main process that hears from
/// others over a socket.
pub(super) fn sozu_toml(address: SocketAddr, servers: &[SocketAddr], folder: &Path) -> String {
    let backend = |server: &SocketAddr| format!("  {{ address = \"{server}\" }},\n");
    let backends: String = servers.iter().map(backend).collect();
    let socket = text(folder.join("sozu.sock"));
    format!(
        "command_socket = \"{socket}\"\n\
         log_level = \"error\"\n\
         log_target = \"stderr\"\n\
         worker_count = 1\n\
         worker_automatic_restart = false\n\
         handle_process_affinity = false\n\
         max_connections = 4096\n\
         \n\
         [[listeners]]\n\
         protocol = \"http\"\n\
         address = \"{address}\"\n\
         send_x_real_ip = true\n\
         \n\
         [clusters.app]\n\
         protocol = \"http\"\n\
         load_balancing = \"ROUND_ROBIN\"\n\
         frontends = [\n\
         \x20 {{ address = \"{address}\", hostname = \"*\", position = \"PRE\" }},\n\
         ]\n\
         backends = [\n\
         {backends}\
         ]\n"
    )
}

/// It adds X-Forwarded-For, -Proto and -Host by itself, and has one thread at work for each core it may use: one.
pub(super) fn caddyfile(address: SocketAddr, servers: &[SocketAddr], folder: PathBuf) -> String {
    let servers = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let (ip, port, folder) = (address.ip(), address.port(), text(folder));
    format!(
        "{{\n\
         \x20   admin off\n\
         \x20   auto_https off\n\
         \x20   storage file_system {folder}\n\
         \x20   log {{\n\
         \x20       level ERROR\n\
         \x20   }}\n\
         }}\n\
         http://:{port} {{\n\
         \x20   bind {ip}\n\
         \x20   reverse_proxy {servers} {{\n\
         \x20       lb_policy round_robin\n\
         \x20       header_up X-Real-IP {{remote_host}}\n\
         \x20       transport http {{\n\
         \x20           keepalive_idle_conns_per_host 64\n\
         \x20       }}\n\
         \x20   }}\n\
         }}\n"
    )
}

pub(super) fn envoy_yaml(address: SocketAddr, servers: &[SocketAddr]) -> String {
    let mut endpoints = String::new();
    for server in servers {
        let _ = writeln!(
            endpoints,
            "        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}",
            server.ip(),
            server.port()
        );
    }
    let (ip, port) = (address.ip(), address.port());
    format!(
        "static_resources:\n\
         \x20 listeners:\n\
         \x20 - address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}\n\
         \x20   filter_chains:\n\
         \x20   - filters:\n\
         \x20     - name: envoy.filters.network.http_connection_manager\n\
         \x20       typed_config:\n\
         \x20         \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n\
         \x20         stat_prefix: app\n\
         \x20         generate_request_id: false\n\
         \x20         use_remote_address: true\n\
         \x20         http_protocol_options: {{ accept_http_10: true }}\n\
         \x20         route_config:\n\
         \x20           virtual_hosts:\n\
         \x20           - name: app\n\
         \x20             domains: [\"*\"]\n\
         \x20             request_headers_to_add:\n\
         \x20             - header: {{ key: X-Real-IP, value: \"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\" }}\n\
         \x20             - header: {{ key: X-Forwarded-Host, value: \"%REQ(:AUTHORITY)%\" }}\n\
         \x20             routes:\n\
         \x20             - match: {{ prefix: / }}\n\
         \x20               route: {{ cluster: app }}\n\
         \x20         http_filters:\n\
         \x20         - name: envoy.filters.http.router\n\
         \x20           typed_config:\n\
         \x20             \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n\
         \x20             suppress_envoy_headers: true\n\
         \x20 clusters:\n\
         \x20 - name: app\n\
         \x20   type: STATIC\n\
         \x20   circuit_breakers: {{ thresholds: [{{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }}] }}\n\
         \x20   load_assignment:\n\
         \x20     cluster_name: app\n\
         \x20     endpoints:\n\
         \x20     - lb_endpoints:\n\
         {endpoints}"
    )
}
