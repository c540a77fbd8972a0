//! Clients that keep their server (`sticky`).

use std::sync::Arc;

use crate::support::origin::Visit;
use crate::support::{Gate, Message, Origin, Proxy};

/// Two servers called a and b in the group u, with these words in it and these locations.
fn start(origins: &[&Origin], group: &str, locations: &str) -> Proxy {
    let mut servers = String::new();
    for (origin, route) in origins.iter().zip(["x", "y", "z"]) {
        servers += &format!("server {origin} route={route}; ");
    }
    let http = format!("upstream u {{ {group} {servers} }} server {{ listen LISTEN; {locations} }}");
    Proxy::start_with("", &http, |_| {})
}

fn ask(proxy: &Proxy, target: &str, fields: &str) -> Message {
    let mut conn = proxy.connect();
    conn.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    conn.response()
}

const PASS: &str = "location / { proxy_pass http://u; }";

#[test]
fn a_cookie_brings_a_client_back_to_its_server() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    for group in ["sticky cookie id path=/ httponly;", "least_conn; sticky cookie id path=/ httponly;"] {
        let proxy = start(&[&a, &b], group, PASS);
        for (server, route) in [("a", "x"), ("b", "y")] {
            let first = ask(&proxy, "/", "");
            assert_eq!(first.text(), server);
            assert_eq!(first.field("set-cookie"), Some(&*format!("id={route}; httponly; path=/")));
        }
        for (server, route) in [("b", "y"), ("b", "y"), ("a", "x"), ("b", "y"), ("a", "x"), ("a", "x")] {
            let again = ask(&proxy, "/", &format!("Cookie: n=1; id={route}\r\n"));
            assert_eq!(again.text(), server, "{group}");
        }
    }
}

#[test]
fn without_a_route_the_cookie_is_the_digest_of_the_address() {
    let a = Origin::named("a");
    let http = format!(
        "upstream u {{ server {a}; sticky cookie id; }}
         server {{ listen LISTEN; location / {{ proxy_pass http://u; }} location /v {{ proxy_pass http://$arg_u; }} }}"
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    let cookie = format!("id={:x}", md5::compute(a.to_string()));
    for target in ["/", "/v?u=u"] {
        assert_eq!(ask(&proxy, target, "").field("set-cookie"), Some(&*cookie), "{target}");
    }
}

#[test]
fn a_client_whose_server_is_gone_gets_another_one_and_its_cookie() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let proxy = start(&[&a, &b], "sticky cookie id;", PASS);
    assert_eq!(ask(&proxy, "/", "Cookie: id=y\r\n").text(), "b");
    b.stop();
    let moved = ask(&proxy, "/", "Cookie: id=y\r\n");
    assert_eq!((moved.text(), moved.field("set-cookie")), ("a", Some("id=x")));
}

#[test]
fn the_words_of_a_cookie() {
    let a = Origin::named("a");
    let group = "sticky cookie id expires=1h domain=.$host secure samesite=$arg_s path=/p;";
    let proxy = start(&[&a], group, PASS);
    for (target, same_site) in [("/", ""), ("/?s=Lax", "; samesite=Lax"), ("/?s=x", "; samesite=strict")] {
        let answer = ask(&proxy, target, "");
        let cookie = answer.field("set-cookie").expect("a cookie");
        let rest = cookie.strip_prefix("id=x; expires=").expect(cookie);
        let (date, rest) = rest.split_once(" GMT; ").expect(cookie);
        assert_eq!(date.len(), "Thu, 31-Dec-37 23:55:55".len(), "{cookie}");
        assert_eq!(rest, format!("max-age=3600; domain=.test; secure{same_site}; path=/p"));
    }
    let proxy = start(&[&a], "sticky cookie id expires=max;", PASS);
    let answer = ask(&proxy, "/", "");
    let forever = "id=x; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000";
    assert_eq!(answer.field("set-cookie"), Some(forever));
}

#[test]
fn a_route_is_looked_for_in_one_variable_after_the_other() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let proxy = start(&[&a, &b], "sticky route $cookie_r $arg_r;", PASS);
    for (target, fields, server) in [
        ("/?r=y", "", "b"),
        ("/?r=y", "", "b"),
        ("/?r=y", "Cookie: r=x\r\n", "a"),
        ("/?r=y", "Cookie: r=\r\n", "b"),
    ] {
        let answer = ask(&proxy, target, fields);
        assert_eq!((answer.text(), answer.field("set-cookie")), (server, None), "{target} {fields}");
    }
    let free: String = (0..4).map(|_| ask(&proxy, "/?r=z", "").text().to_owned()).collect();
    assert!(free.contains('a') && free.contains('b'), "{free}");
}

#[test]
fn a_server_that_drains_keeps_the_clients_that_it_has() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let http = format!(
        "upstream u {{ server {a} route=x drain; server {b} route=y; sticky cookie id; }}
         server {{ listen LISTEN; {PASS} }}"
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    for _ in 0..3 {
        assert_eq!(ask(&proxy, "/", "").text(), "b");
        let kept = ask(&proxy, "/", "Cookie: id=x\r\n");
        assert_eq!((kept.text(), kept.field("set-cookie")), ("a", Some("id=x")));
    }
}

#[test]
fn a_connection_may_carry_the_requests_of_many() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let proxy = start(&[&a, &b], "sticky cookie id;", PASS);
    let mut conn = proxy.connect();
    for (route, server) in [("y", "b"), ("x", "a"), ("y", "b"), ("y", "b"), ("x", "a")] {
        conn.send(format!("GET / HTTP/1.1\r\nHost: test\r\nCookie: id={route}\r\n\r\n"));
        assert_eq!(conn.response().text(), server);
    }
    // Bound to nobody, it is not bound to the last one's server.
    let free: String = (0..4).map(|_| conn.get("/").text().to_owned()).collect();
    assert!(free.contains('a') && free.contains('b'), "{free}");
}

/// Answers with its name; `/login` begins the session that its argument names, and `/long` lasts until the gate opens.
fn with_sessions(name: &'static str, gate: &Arc<Gate>) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit: &mut Visit| {
        loop {
            let target = visit.request().target().to_owned();
            let begun = target.strip_prefix("/login?").or(target.strip_prefix("/long?"));
            let cookie = begun.map_or(String::new(), |id| format!("Set-Cookie: sid={id}; Path=/\r\n"));
            // A body in chunks is passed on as it comes.
            visit.send(format!("HTTP/1.1 200 OK\r\n{cookie}Transfer-Encoding: chunked\r\n\r\n"));
            if target.starts_with("/long") {
                gate.pass();
            }
            visit.send(format!("1\r\n{name}\r\n0\r\n\r\n"));
        }
    })
}

#[test]
fn sessions_are_learnt_from_responses() {
    for workers in [1, 2] {
        let gate = Arc::new(Gate::default());
        let (a, b) = (with_sessions("a", &gate), with_sessions("b", &gate));
        let http = format!(
            "upstream u {{ server {a}; server {b};
                 sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=z:1m; }}
             server {{ listen LISTEN; {PASS} }}"
        );
        let proxy = Proxy::start_with(&format!("worker_processes {workers};"), &http, |_| {});
        let mut homes = Vec::new();
        for id in 0..6 {
            let answer = ask(&proxy, &format!("/login?s{id}"), "");
            homes.push((id, answer.text().to_owned()));
        }
        assert!(homes.iter().any(|(_, name)| name == "a") && homes.iter().any(|(_, name)| name == "b"));
        for (id, name) in homes.iter().chain(homes.iter().rev()) {
            assert_eq!(ask(&proxy, "/", &format!("Cookie: sid=s{id}\r\n")).text(), name);
        }
        let unknown: String =
            (0..4).map(|_| ask(&proxy, "/", "Cookie: sid=other\r\n").text().to_owned()).collect();
        assert!(unknown.contains('a') && unknown.contains('b'), "{unknown}");
    }
}

#[test]
fn header_learns_before_the_response_is_over() {
    let gate = Arc::new(Gate::default());
    let (a, b) = (with_sessions("a", &gate), with_sessions("b", &gate));
    let http = format!(
        "upstream u {{ server {a}; server {b};
             sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=z:1m header; }}
         server {{ listen LISTEN; {PASS} }}"
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    let mut long = proxy.connect();
    long.send("GET /long?s HTTP/1.1\r\nHost: test\r\n\r\n");
    long.head();
    for _ in 0..4 {
        assert_eq!(ask(&proxy, "/", "Cookie: sid=s\r\n").text(), "a");
    }
    gate.open();
}
