//! The ring of `hash KEY consistent`: points of all lines, in the order of their hashes (ketama).
//!
//! A key belongs to the first point at or behind its hash, so that a line that goes away leaves its keys to whose
//! points come next, and no other key moves. Points follow from the lines alone, not from the addresses of names:
//! those may come and go without moving a key. (`ngx_http_upstream_init_chash` in
//! `modules/ngx_http_upstream_hash_module.c`, which is compatible with `Cache::Memcached::Fast`)

use crate::config::Server;

/// Points of a line of weight 1.
const POINTS: u32 = 160;

/// See the [module's page](self).
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Sorted by hash; no hash is there twice.
    points: Vec<Point>,
    /// The first line with the same name, by line: in nginx a name is one server however often it stands there.
    first: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    hash: u32,
    /// The first line with that name.
    line: u32,
}

impl Ring {
    /// The ring of the lines that are not `backup`.
    pub(super) fn new(servers: &[Server]) -> Ring {
        let first = |server: &Server| servers.iter().position(|other| other.name == server.name);
        let first: Vec<u32> = servers.iter().map(|server| first(server).unwrap_or_default() as u32).collect();
        let mut points = Vec::new();
        for (server, &line) in servers.iter().zip(&first).filter(|(server, _)| !server.backup) {
            let (host, port) = host_and_port(&server.name);
            let mut base = crc32fast::Hasher::new();
            base.update(host.as_bytes());
            base.update(b"\0");
            base.update(port.as_bytes());
            let mut hash = 0_u32;
            for _ in 0..u64::from(server.weight) * u64::from(POINTS) {
                let mut hasher = base.clone();
                hasher.update(&hash.to_le_bytes());
                hash = hasher.finalize();
                points.push(Point { hash, line });
            }
        }
        // Of two points with one hash the line above has it.
        points.sort_by_key(|point| point.hash);
        points.dedup_by_key(|point| point.hash);
        Ring { points, first }
    }

    /// The number of the point that a hash belongs to.
    pub(super) fn find(&self, hash: u32) -> u32 {
        self.points.partition_point(|point| point.hash < hash) as u32
    }

    /// The line that a point belongs to, by the number of the point, which goes round.
    pub(super) fn owner(&self, number: u32) -> Option<u32> {
        let number = number as usize % self.points.len().max(1);
        self.points.get(number).map(|point| point.line)
    }

    /// Whether points of `owner` stand for `line`.
    pub(super) fn is_of(&self, owner: u32, line: u32) -> bool {
        self.first[line as usize] == owner
    }
}

/// The two parts of a name as it is hashed.
fn host_and_port(name: &str) -> (&str, &str) {
    if let Some((start, path)) = name.split_at_checked(5)
        && start.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (name, ""),
    }
}
