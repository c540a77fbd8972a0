//! The kernel's limit on open descriptors (`RLIMIT_NOFILE`): as configured, or raised as far as it may be.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::worker::checker::VISITS_MAX;

/// Descriptors beside connections and listeners: standard streams, signals, logs, name resolution, the
/// pollers, and some room.
const OTHER_FILES: u64 = 64;

/// Sets the soft limit on open descriptors to `wanted`, or else raises it to the hard one, and gives the limit that
/// then holds; `u64::MAX` where there is none. The hard limit is raised where `wanted` lies above it.
///
/// # Errors
///
/// When the kernel refuses, which a sandbox may make it do, and which it does where the hard limit would have
/// to be raised by somebody who is not root. The old limit then still holds and is [`open_files`].
pub fn set_open_files(wanted: Option<u64>) -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = wanted.or(limit.maximum);
    if limit.current != current {
        let beyond = current.zip(limit.maximum).is_some_and(|(current, maximum)| current > maximum);
        let maximum = if beyond { current } else { limit.maximum };
        setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    }
    Ok(open_files())
}

/// The soft limit on open descriptors; `u64::MAX` where there is none.
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A warning for a `limit` that does not suffice for what `config` allows, with the remedies.
pub fn open_files_warning(limit: u64, config: &Config) -> Option<String> {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let (clients, workers) = (count(config.process.max_connections), count(config.process.workers));
    // Each worker has its own listeners, a poller with its waker, and idle connections to servers.
    let idle = config.upstreams.iter().fold(0, |sum: u64, group| sum.saturating_add(count(group.keepalive)));
    let per_worker = count(config.listeners.len()).saturating_add(idle).saturating_add(2);
    // At so many addresses at once; names, which are not resolved yet, are taken to have one.
    let checks: usize = config.upstreams.iter().map(|group| group.checks.len() * group.servers.len()).sum();
    let fixed = workers.saturating_mul(per_worker).saturating_add(count(checks.min(VISITS_MAX)));
    let fixed = fixed.saturating_add(OTHER_FILES);
    // Each client may hold a connection to a server.
    let needed = clients.saturating_mul(2).saturating_add(fixed);
    if limit >= needed {
        return None;
    }
    let terms = &config.process.terms;
    // As it is written: for one worker, or for all of them.
    let share = if terms.is_per_worker { workers.max(1) } else { 1 };
    let or = match limit.saturating_sub(fixed) / 2 / share {
        0 => String::new(),
        fitting => format!(", or lower {} to {fitting}", terms.connections),
    };
    Some(format!(
        "{limit} open files are allowed, but {} {} may need {needed}; beyond the limit accepting pauses; \
         raise it ({}){or}",
        terms.connections,
        clients / share,
        terms.open_files
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Terms;

    fn config(max_connections: usize, workers: usize) -> Config {
        let mut config = Config::new(Vec::new());
        (config.process.max_connections, config.process.workers) = (max_connections, workers);
        config
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(set_open_files(None).expect("within the hard limit"), hard);
        assert_eq!(set_open_files(None).expect("again"), hard);
        assert_eq!(open_files(), hard);
    }

    #[test]
    fn a_limit_that_suffices_needs_no_word() {
        // 2 × 1000 clients, 2 × 64 idle, 2 × (1 listener + 2), 64 others.
        assert_eq!(open_files_warning(2_198, &config(1_000, 2)), None);
        assert_eq!(open_files_warning(u64::MAX, &config(usize::MAX, 2)), None);
    }

    #[test]
    fn a_limit_that_does_not_is_explained() {
        assert_eq!(
            open_files_warning(2_197, &config(1_000, 2)).as_deref(),
            Some(
                "2197 open files are allowed, but --max-connections 1000 may need 2198; beyond the limit \
                 accepting pauses; raise it (ulimit -Hn, LimitNOFILE=), or lower --max-connections to 999"
            )
        );
        assert_eq!(
            open_files_warning(64, &config(1_000, 2)).as_deref(),
            Some(
                "64 open files are allowed, but --max-connections 1000 may need 2198; beyond the limit \
                 accepting pauses; raise it (ulimit -Hn, LimitNOFILE=)"
            )
        );
    }

    #[test]
    fn it_is_explained_in_the_words_of_the_configuration() {
        let mut config = config(1_000, 2);
        config.process.terms = Terms::NGINX;
        assert_eq!(
            open_files_warning(2_197, &config).as_deref(),
            Some(
                "2197 open files are allowed, but worker_connections 500 may need 2198; beyond the limit accepting \
                 pauses; raise it (worker_rlimit_nofile), or lower worker_connections to 499"
            )
        );
    }

    /// The lower number that a warning names must itself be without a warning.
    #[test]
    fn the_remedy_remedies() {
        for limit in [300, 1_024, 4_096, 20_000] {
            let text = open_files_warning(limit, &config(10_000, 2)).expect("a warning");
            let clients = text.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a number");
            assert_eq!(open_files_warning(limit, &config(clients, 2)), None);
            assert!(open_files_warning(limit, &config(clients + 1, 2)).is_some());
        }
    }
}
