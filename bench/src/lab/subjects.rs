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
}

impl Kind {
    /// All, in the order of the tables.
    pub const ALL: [Kind; 4] = [Kind::Relay, Kind::Proxy, Kind::Nginx, Kind::Haproxy];

    /// As tables and data name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Relay => "relay",
            Kind::Proxy => "proxy",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
        }
    }

    /// How it is asked for its version.
    pub(super) fn version_flag(self) -> &'static str {
        if self == Kind::Relay || self == Kind::Proxy { "--version" } else { "-v" }
    }

    pub(super) fn program(self, binaries: &Binaries) -> Option<PathBuf> {
        match self {
            Kind::Relay => Some(binaries.bench.clone()),
            Kind::Proxy => Some(binaries.proxy.clone()),
            Kind::Nginx => installed("nginx"),
            Kind::Haproxy => installed("haproxy"),
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
        self.arguments(address, &mut command)?;
        let mut process = Process::start(self.kind.name(), &mut command, cores.subject)?;
        process.wait_until_ready(address)?;
        Ok(Subject { address, process })
    }

    fn arguments(&self, address: SocketAddr, command: &mut Command) -> Result<(), LabError> {
        let list = self.upstreams.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match self.kind {
            Kind::Relay => {
                command.args(["relay", "--listen", &address.to_string(), "--upstream", &list]);
            }
            Kind::Proxy => {
                command.args(["--workers", "1", "--access-log", "off", "--listen", &address.to_string()]);
                command.args(["--upstream", &list]);
            }
            Kind::Nginx => {
                let file = self.folder.join("nginx.conf");
                fs::write(&file, self.nginx_conf(address))?;
                command.arg("-p").arg(&self.folder).arg("-e").arg(self.folder.join("error.log"));
                command.arg("-c").arg(file);
            }
            Kind::Haproxy => {
                let file = self.folder.join("haproxy.cfg");
                fs::write(&file, self.haproxy_cfg(address))?;
                command.args(["-db", "-f"]).arg(file);
            }
        }
        Ok(())
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
