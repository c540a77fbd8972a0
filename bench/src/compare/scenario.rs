//! The loads that subjects are compared under.

use std::time::Duration;

use super::model;
use super::options::Settings;
use super::slices::SLICE;
use crate::lab::{BODY_MARK, Cores};
use crate::load::{Check, Pace, Plan, Request, Target};

/// One load.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) key: String,
    pub(super) title: String,
    method: &'static str,
    path: &'static str,
    /// Bytes of a request body, of the backend's pattern.
    upload: usize,
    pub(super) connections: usize,
    pub(super) pace: Pace,
    pub(super) keep_alive: bool,
    /// The length that the page has to have; `None` where it changes, with the hits in it, or its path says so.
    length: Option<u64>,
    pub(super) duration: Duration,
    /// Whether system calls are counted under it, too.
    pub(super) counts_calls: bool,
}

/// So long a load is on before it is measured: connections of the subject to its servers are open then.
const WARM_UP: Duration = Duration::from_millis(150);

/// As long as the next request of a busy connection, and more: a stalled subject fails a run, and does not hang it.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Scenario {
    /// Those of a run.
    pub(super) fn all(settings: &Settings) -> Vec<Scenario> {
        let page = |key: &str, title: &str, connections| Scenario {
            key: key.into(),
            title: title.into(),
            method: "GET",
            path: "/",
            upload: 0,
            connections,
            pace: Pace::Saturate,
            keep_alive: true,
            length: None,
            duration: Duration::from_secs_f64(settings.seconds),
            counts_calls: false,
        };
        let mut all = vec![
            Scenario {
                counts_calls: true,
                ..page("saturated", "small page, 64 connections, as fast as they are answered", 64)
            },
            Scenario {
                counts_calls: settings.is_full,
                ..page("single", "small page, one connection, one request at a time", 1)
            },
        ];
        for rate in &settings.rates {
            all.push(Scenario {
                // At random, as independent users ask. An even pace would fall into step with the kernel's clock, which
                // samples what is user and what is system time.
                pace: Pace::Poisson(*rate),
                counts_calls: settings.is_full,
                duration: Duration::from_secs_f64(settings.rate_seconds),
                ..page(
                    &format!("rate-{rate}"),
                    &format!("small page, {rate} requests offered per second"),
                    64,
                )
            });
        }
        all.push(Scenario {
            path: "/bytes/16384",
            ..page("body-16k", "16 KiB page, 64 connections, as fast as they are answered", 64)
        });
        if settings.is_full {
            all.push(Scenario {
                path: "/bytes/1048576",
                ..page("body-1m", "1 MiB page, 8 connections, as fast as they are answered", 8)
            });
            all.push(Scenario {
                method: "POST",
                path: "/bytes/0",
                upload: 1 << 20,
                ..page("upload-1m", "upload of 1 MiB, 8 connections, as fast as they are answered", 8)
            });
            all.push(Scenario {
                keep_alive: false,
                ..page("connections", "small page, a new connection for each request, 64 at once", 64)
            });
        }
        all.retain(|scenario| settings.wants(&scenario.key));
        all
    }

    /// The page whose hits Redis counts.
    pub(super) fn with_redis(settings: &Settings) -> Scenario {
        let mut like = Scenario::all(&Settings { only: Vec::new(), ..settings.clone() });
        let saturated = like.swap_remove(0);
        Scenario {
            key: "redis".into(),
            title: "page with a hit counter in Redis, 64 connections, as fast as they are answered".into(),
            counts_calls: false,
            ..saturated
        }
    }

    /// Rates of a sweep. The lowest one has 1600 requests then, enough for a p99.
    pub(super) fn sweep(rate: f64) -> Scenario {
        Scenario {
            key: "sweep".into(),
            title: String::new(),
            method: "GET",
            path: "/",
            upload: 0,
            connections: 64,
            pace: Pace::Poisson(rate),
            keep_alive: true,
            length: None,
            duration: Duration::from_millis(400),
            counts_calls: false,
        }
    }

    /// The same, with the small page to be as long as the origin makes it.
    #[must_use]
    pub(super) fn with_page_length(self, length: u64) -> Scenario {
        if self.path == "/" { Scenario { length: Some(length), ..self } } else { self }
    }

    /// As a load on one address. Requests come at the same times for all subjects of a round, and at others in each.
    pub(super) fn plan(&self, address: std::net::SocketAddr, cores: Cores, round: u32) -> Plan {
        let mut body = Vec::new();
        backend::pattern::append(&mut body, 0, self.upload);
        let request = Request {
            method: self.method,
            host: &address.to_string(),
            path: self.path,
            fields: &[],
            body: &body,
            keep_alive: self.keep_alive,
        };
        let prefix = if self.path == "/" { BODY_MARK.to_vec() } else { Vec::new() };
        let check = Check { status: Some(200), length: self.length, prefix }.and_pattern_of(self.path);
        let target = Target { bytes: request.bytes(), weight: 1, is_head: false, check };
        Plan {
            pace: self.pace,
            warm_up: WARM_UP,
            cores: vec![cores.load],
            keep_alive: self.keep_alive,
            timeout: TIMEOUT,
            seed: u64::from(round),
            interval: SLICE,
            ..Plan::saturate(target, address, self.connections, self.duration)
        }
    }

    /// Bytes of bodies, either way, in the requests answered.
    pub(super) fn body_bytes(&self, load: &crate::load::Summary) -> u64 {
        load.body_bytes + load.answered * self.upload as u64
    }

    /// Without its entries yet.
    pub(super) fn model(&self) -> model::Scenario {
        model::Scenario {
            key: self.key.clone(),
            title: self.title.clone(),
            request: format!("{} {}", self.method, self.path),
            connections: self.connections,
            offered_per_s: self.pace.rate(),
            keep_alive: self.keep_alive,
            seconds: self.duration.as_secs_f64(),
            entries: Vec::new(),
        }
    }
}
