//! The counter in a real Redis, which is killed and brought back.

use std::collections::HashSet;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backend::Server;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::{Client, Response, server};

/// A `redis-server` without persistence on a free loopback port.
struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        Self { child: Self::spawn(port, &folder), port, folder }
    }

    fn spawn(port: u16, folder: &TempDir) -> Child {
        let child = Command::new("redis-server")
            .args(["--save", "", "--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server does not start; install it: apt-get install redis-server");
        wait_for("redis-server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        child
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = Self::spawn(self.port, &self.folder);
    }

    /// SIGSTOP, and until it has taken effect.
    fn stop(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        wait_for("the stop", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn query<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5)).unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query(&mut connection).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Killed before in some tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come within 20 s");
        thread::sleep(Duration::from_millis(10));
    }
}

fn counting(url: String, workers: usize) -> Server {
    server(&["app1=127.0.0.1:0", "app2=127.0.0.1:0"], |options| {
        options.redis = Some(url);
        options.workers = workers;
    })
}

/// A hit's number, or `None` for a 503 that says why.
fn number(response: &Response) -> Option<i64> {
    if response.status == 200 {
        return Some(response.hit());
    }
    assert_eq!(response.status, 503);
    assert!(response.text().starts_with("503 Service Unavailable: redis 127.0.0.1:"), "{}", response.text());
    assert_eq!(response.text().lines().count(), 1);
    None
}

#[test]
fn hits_are_numbered_once_over_workers_and_processes() {
    let redis = Redis::start();
    let servers = [counting(redis.url(), 2), counting(redis.url(), 1)];
    let mut hits: Vec<i64> = thread::scope(|scope| {
        let run = |index: usize| {
            let mut client = Client::connect(&servers[index % 2], ["app1", "app2"][index / 2 % 2]);
            (0..200).map(|_| number(&client.fetch("/")).expect("redis is there")).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..16).map(|index| scope.spawn(move || run(index))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    hits.sort_unstable();
    assert!(hits == (1..=3200).collect::<Vec<_>>(), "not 1 to 3200");
    assert_eq!(redis.query::<i64>(&["GET", "hits"]), 3200);
}

#[test]
fn the_hits_of_a_turn_are_one_command() {
    let redis = Redis::start();
    let server = counting(redis.url(), 1);
    let mut clients: Vec<Client> = (0..64).map(|_| Client::connect(&server, "app1")).collect();
    for _ in 0..50 {
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for client in &mut clients {
            assert!(number(&client.response()).is_some());
        }
    }
    let statistics: String = redis.query(&["INFO", "commandstats"]);
    let line = statistics.lines().find(|line| line.starts_with("cmdstat_incrby:")).unwrap();
    let calls = line.split_once("calls=").unwrap().1.split_once(',').unwrap().0.parse::<u32>().unwrap();
    assert!(calls < 3200, "{calls} commands for 3200 hits");
    assert_eq!(redis.query::<i64>(&["GET", "hits"]), 3200);
}

#[test]
fn no_number_twice_while_redis_is_killed_under_load() {
    let mut redis = Redis::start();
    let server = counting(redis.url(), 2);
    let (stop, answered) = (AtomicBool::new(false), AtomicI64::new(0));
    let outcomes: Vec<Option<i64>> = thread::scope(|scope| {
        let run = |index: usize| {
            let mut client = Client::connect(&server, ["app1", "app2"][index % 2]);
            let mut outcomes = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let outcome = number(&client.fetch("/"));
                answered.fetch_add(i64::from(outcome.is_some()), Ordering::Relaxed);
                outcomes.push(outcome);
                if outcome.is_none() {
                    // Refused at once; no need to spin.
                    thread::sleep(Duration::from_millis(1));
                }
            }
            outcomes
        };
        let threads: Vec<_> = (0..16).map(|index| scope.spawn(move || run(index))).collect();
        for _ in 0..3 {
            let before = answered.load(Ordering::Relaxed);
            wait_for("hits", || answered.load(Ordering::Relaxed) > before + 200);
            redis.kill();
            wait_for("a 503", || number(&Client::connect(&server, "app1").fetch("/")).is_none());
            redis.restart();
        }
        let before = answered.load(Ordering::Relaxed);
        wait_for("hits after the last restart", || answered.load(Ordering::Relaxed) > before + 200);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let numbers: Vec<i64> = outcomes.iter().flatten().copied().collect();
    let distinct: HashSet<i64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number was answered twice");
    let last = redis.query::<i64>(&["GET", "hits"]);
    assert!(numbers.iter().all(|number| (1..=last).contains(number)), "a number beyond the counter, {last}");
    assert!(outcomes.iter().any(Option::is_none), "Redis was killed three times and nobody noticed");
}

#[test]
fn a_redis_that_hangs_is_a_503_and_its_late_numbers_are_not_handed_out() {
    let redis = Redis::start();
    let server = counting(redis.url(), 1);
    let mut client = Client::connect(&server, "app1");
    assert_eq!(number(&client.fetch("/")), Some(1));
    redis.stop();
    let refused = (0..5).filter(|_| number(&client.fetch("/")).is_none()).count();
    redis.signal(Signal::CONT);
    assert_eq!(refused, 5);
    let mut next = None;
    wait_for("redis", || {
        next = number(&client.fetch("/"));
        next.is_some()
    });
    assert!(next > Some(1), "{next:?}");
    // The hit that was under way was sent once: it may have been counted, at most once.
    assert!(next <= Some(3), "{next:?}");
}

#[test]
fn a_redis_that_comes_later_is_found() {
    let mut redis = Redis::start();
    redis.kill();
    let server = counting(redis.url(), 1);
    let mut client = Client::connect(&server, "app2");
    assert_eq!(number(&client.fetch("/")), None);
    // What needs no counter works all the time.
    assert_eq!(client.fetch("/healthz").text(), "ok\n");
    redis.restart();
    wait_for("redis", || number(&client.fetch("/")) == Some(1));
}

#[test]
fn an_idle_connection_that_dies_costs_no_hit() {
    let mut redis = Redis::start();
    let server = counting(redis.url(), 1);
    let mut client = Client::connect(&server, "app1");
    assert_eq!(number(&client.fetch("/")), Some(1));
    redis.kill();
    redis.restart();
    // The test of the idle connection finds out within a second or two and connects anew.
    wait_for("the new connection", || redis.query::<i64>(&["INCRBY", "hits", "0"]) == 1);
    let mut next = None;
    wait_for("the next hit", || {
        next = number(&client.fetch("/"));
        next.is_some()
    });
    assert_eq!(next, Some(2), "a hit was sent into a dead connection");
}

#[test]
fn a_key_that_is_no_counter_is_said() {
    let redis = Redis::start();
    let _: String = redis.query(&["SET", "hits", "many"]);
    let server = counting(redis.url(), 1);
    let response = Client::connect(&server, "app1").fetch("/");
    assert_eq!(number(&response), None);
    assert!(response.text().contains("not an integer"), "{}", response.text());
}
