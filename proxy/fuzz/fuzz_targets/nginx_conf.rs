//! Configurations: any bytes are read or refused, in bounded time, with a message of one line; what is accepted keeps the
//! model's promises.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use proxy::config::nginx::{self, Files, Options};
use proxy::config::{Action, Config, Location, site::PassTarget, template::Variable};

/// The input is the main file, and also what every `include` gets, so that files include themselves.
struct Everywhere<'b>(&'b [u8]);

impl Files for Everywhere<'_> {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match path {
            "/etc/passwd" | "/etc/group" => Err(io::Error::from_raw_os_error(13)),
            _ => Ok(self.0.to_owned()),
        }
    }

    fn matching(&self, pattern: &str) -> io::Result<Vec<String>> {
        match pattern.len() % 3 {
            0 => Err(io::Error::from_raw_os_error(2)),
            count => Ok(vec!["/f".to_owned(); count - 1]),
        }
    }
}

fn check(config: &Config) {
    assert!(!config.sites.is_empty() && !config.listeners.is_empty());
    for (index, listener) in config.listeners.iter().enumerate() {
        assert!(listener.sites.contains(&listener.default_site));
        assert!(listener.sites.iter().all(|site| *site < config.sites.len()));
        assert!(config.listeners[..index].iter().all(|other| other.address != listener.address));
    }
    assert!(config.upstreams.iter().all(|upstream| !upstream.servers.is_empty()));
    for site in &config.sites {
        assert!((1 << 10..=1 << 20).contains(&site.client.max_header_size));
        check_location(&site.location, config);
        site.locations.iter().for_each(|location| check_location(location, config));
    }
    for map in &config.maps {
        map.exact.iter().for_each(|(_, value)| value.variables().for_each(|v| check_variable(v, config)));
    }
}

fn check_location(location: &Location, config: &Config) {
    if let Action::Proxy(pass) = &location.action
        && let PassTarget::Upstream(index) = pass.target
    {
        assert!(index < config.upstreams.len());
    }
    let timeouts = &location.rules.timeouts;
    for time in [timeouts.connect, timeouts.read, timeouts.send, timeouts.client_body, timeouts.client_send] {
        assert!(!time.is_zero());
    }
    assert!(location.rules.logs.iter().all(|log| log.format < config.formats.len()));
    for set in &location.sets {
        check_variable(&set.variable, config);
        set.value.variables().for_each(|variable| check_variable(variable, config));
    }
    location.nested.iter().for_each(|inner| check_location(inner, config));
}

fn check_variable(variable: &Variable, config: &Config) {
    match variable {
        Variable::Map(index) => assert!(*index < config.maps.len()),
        Variable::Slot(index) => assert!(*index < config.slots),
        Variable::Capture(number) => assert!((1..=9).contains(number)),
        _ => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let options = Options {
        path: "/f".to_owned(),
        prefix: "/".to_owned(),
        globals: "",
        error_log: "stderr",
        is_root: bytes.len() % 2 == 0,
        hostname: "box",
    };
    match nginx::load(&Everywhere(bytes), &options) {
        Ok(loaded) => check(&loaded.config),
        Err(refused) => assert!(!refused.error.to_string().is_empty()),
    }
});
