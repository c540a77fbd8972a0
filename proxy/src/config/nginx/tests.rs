//! Whole configurations, and what becomes of them. What is wrong with others is held against nginx itself in
//! `proxy/tests/nginx_errors.rs`.

mod groups;
mod health;
mod resolver;

use std::collections::BTreeMap;
use std::io;

use super::*;
use crate::config::site::{Match, PageStatus, PassTarget, PassUri, RealIp, RedirectFrom, SiteName};
use crate::config::template::{Part, Template, Variable};
use crate::config::{Action, Balance, Escape, Listen, Location, Measure, Pass, Site, Until};
use crate::time::Duration;

/// Files in memory; a pattern matches what has its part before the `*` as a beginning.
#[derive(Default)]
struct Memory(BTreeMap<String, String>);

impl Memory {
    fn new(files: &[(&str, &str)]) -> Memory {
        Memory(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let text = self.0.get(path).ok_or_else(|| io::Error::from_raw_os_error(2))?;
        Ok(text.clone().into_bytes())
    }

    fn matching(&self, pattern: &str) -> io::Result<Vec<String>> {
        let (start, end) = pattern.split_once('*').expect("a pattern");
        Ok(self.0.keys().filter(|name| name.starts_with(start) && name.ends_with(end)).cloned().collect())
    }
}

fn options() -> Options<'static> {
    Options {
        path: "/etc/n/nginx.conf".to_owned(),
        prefix: "/p/".to_owned(),
        globals: "",
        error_log: "logs/error.log",
        is_root: true,
        hostname: "Box",
    }
}

fn load_files(files: &[(&str, &str)]) -> Result<Loaded, Box<Refused>> {
    load(&Memory::new(files), &options())
}

/// The configuration of a main file with these blocks in `http`.
fn http(text: &str) -> Config {
    let text = format!("events {{}} http {{ {text} }}");
    match load_files(&[("/etc/n/nginx.conf", &text)]) {
        Ok(loaded) => loaded.config,
        Err(refused) => panic!("{}: {text}", refused.error),
    }
}

/// The first site of a server with these directives.
fn site(text: &str) -> Site {
    http(&format!("server {{ {text} }}")).sites.remove(0)
}

/// The first location with these directives.
fn location(text: &str) -> Location {
    site(&format!("location / {{ {text} }}")).locations.remove(0)
}

fn pass(location: &Location) -> &Pass {
    match &location.action {
        Action::Proxy(pass) => pass,
        other => panic!("{other:?}"),
    }
}

fn error(files: &[(&str, &str)]) -> String {
    load_files(files).expect_err("it is wrong").error.to_string()
}

#[test]
fn the_smallest_configuration_has_nginx_s_defaults() {
    let config = http("server {}");
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].address, Listen::Tcp("0.0.0.0:80".parse().expect("an address")));
    let process = &config.process;
    assert_eq!((process.workers, process.max_connections, process.daemon), (1, 512, true));
    assert_eq!(process.pid_file, Some("/p/logs/nginx.pid".into()));
    assert_eq!(process.error_log, Some("/p/logs/error.log".into()));
    assert_eq!(process.log_level, log::LevelFilter::Error);
    let site = &config.sites[0];
    assert_eq!(site.client.keepalive_timeout, Duration::from_secs(75));
    assert_eq!(site.client.keepalive_requests, 1000);
    assert_eq!(site.client.max_header_size, 32 << 10);
    assert!(!site.client.underscores && site.client.ignores_invalid);
    let files = &site.location.files;
    assert_eq!(site.location.action, Action::File);
    assert_eq!(files.root, Template::text("/p/html"));
    assert_eq!(files.index, [Template::text("index.html")]);
    let rules = &site.location.rules;
    assert_eq!(rules.timeouts.connect, Duration::from_secs(60));
    assert_eq!(rules.max_body_size, 1 << 20);
    assert_eq!(rules.logs[0].path.as_text(), Some(&b"/p/logs/access.log"[..]));
    assert_eq!(config.formats[0].name, "combined");
    assert_eq!(rules.types.len(), 3);
}

#[test]
fn an_unprivileged_process_listens_on_8000() {
    let options = Options { is_root: false, ..options() };
    let files = Memory::new(&[("/etc/n/nginx.conf", "user a; events {} http { server {} }")]);
    let loaded = load(&files, &options).expect("a configuration");
    assert_eq!(loaded.config.listeners[0].address.to_string(), "0.0.0.0:8000");
    assert!(loaded.warnings[0].to_string().starts_with("the \"user\" directive makes sense only if"));
}

#[test]
fn inner_levels_take_over_what_they_do_not_say() {
    let config = http(
        "proxy_read_timeout 5s; add_header A 1; proxy_set_header X 1; client_max_body_size 2m; types { a/b c; }
         server { proxy_read_timeout 6s; add_header B 1; access_log off;
                  location /a { proxy_read_timeout 7s; location /a/b { add_header C 1; } }
                  location /c { client_max_body_size 0; proxy_set_header Y 1; } }",
    );
    let site = &config.sites[0];
    let [a, c] = &site.locations[..] else { panic!("{:?}", site.locations) };
    let inner = &a.nested[0];
    let reads = |location: &Location| location.rules.timeouts.read.as_secs();
    assert_eq!((reads(&site.location), reads(a), reads(inner), reads(c)), (6, 7, 7, 6));
    let added = |location: &Location| location.rules.delivery.added[0].name.clone();
    assert_eq!((added(&site.location), added(a), added(inner)), ("B".into(), "B".into(), "C".into()));
    assert_eq!((a.rules.max_body_size, c.rules.max_body_size), (2 << 20, 0));
    let fields = |location: &Location| match &location.rules.forwarding {
        crate::config::site::Forwarding::Listed(listed) => {
            listed.fields.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((fields(a), fields(c)), (vec!["Host".into(), "X".into()], vec!["Host".into(), "Y".into()]));
    assert!(inner.rules.logs.is_empty());
    assert_eq!(*c.rules.types, [("c".to_owned(), "a/b".to_owned())]);
}

#[test]
fn proxy_pass_in_all_its_forms() {
    let upstream = |index| PassTarget::Upstream(index);
    for (text, target, host, port, uri) in [
        ("http://127.0.0.1:81", upstream(0), "127.0.0.1:81", Some(81), PassUri::AsItCame),
        ("http://127.0.0.1", upstream(0), "127.0.0.1", Some(80), PassUri::AsItCame),
        ("http://app:80/", upstream(0), "app", Some(80), PassUri::Replaced("/".into())),
        ("HTTP://app/a?b", upstream(0), "app", Some(80), PassUri::Replaced("/a?b".into())),
        ("http://app?b", upstream(0), "app", Some(80), PassUri::Replaced("/?b".into())),
        ("http://[::1]:5/", upstream(0), "[::1]:5", Some(5), PassUri::Replaced("/".into())),
        ("http://unix:/s", upstream(0), "localhost", None, PassUri::AsItCame),
        ("http://unix:/s:/a", upstream(0), "localhost", None, PassUri::Replaced("/a".into())),
    ] {
        let location = location(&format!("proxy_pass {text};"));
        assert_eq!(*pass(&location), Pass { target, host: host.to_owned(), port, uri }, "{text}");
    }
    let location = location("proxy_pass http://$host:81/x$request_uri;");
    let PassTarget::Variable(target) = &pass(&location).target else { panic!("{location:?}") };
    let text = |text: &str| Part::Text(text.as_bytes().into());
    let (host, uri) = (Part::Variable(Variable::Host), Part::Variable(Variable::RequestUri));
    assert_eq!(*target.parts, [text("http://"), host, text(":81/x"), uri]);
}

#[test]
fn the_methods_of_a_group() {
    let least_time = |until, counts_unanswered| Balance::LeastTime(Measure { until, counts_unanswered });
    for (words, balance) in [
        ("", Balance::RoundRobin),
        ("ip_hash;", Balance::IpHash),
        ("random;", Balance::Random),
        ("random two;", Balance::RandomTwo),
        ("random two least_conn;", Balance::RandomTwo),
        ("least_time header;", least_time(Until::Header, false)),
        ("least_time last_byte inflight;", least_time(Until::LastByte, true)),
    ] {
        let config = http(&format!("upstream u {{ {words} server a; }} server {{}}"));
        assert_eq!((config.upstreams[0].balance, config.upstreams[0].key.is_empty()), (balance, true));
    }
    for (words, balance) in [("", Balance::Hash), ("consistent", Balance::ConsistentHash)] {
        // The key's variable has its definition below.
        let config = http(&format!(
            "upstream u {{ hash $k/$arg_a {words}; server a; }} map $host $k {{ default $uri; }} server {{}}"
        ));
        let parts = &config.upstreams[0].key.parts;
        assert_eq!(config.upstreams[0].balance, balance);
        assert_eq!((parts.len(), &parts[0]), (3, &Part::Variable(Variable::Map(0))));
    }
}

#[test]
fn variables_in_proxy_pass_leave_the_group_known_where_it_can_be() {
    for (text, target, parts) in [
        ("http://u$request_uri", "u", 1),
        ("http://127.0.0.1:81$uri$is_args$args", "127.0.0.1:81", 3),
        ("http://u/a$uri", "u", 2),
        ("http://u?a=$host", "u", 2),
        ("http://unix:/s:$uri", "unix:/s", 1),
    ] {
        let config = http(&format!("server {{ location / {{ proxy_pass {text}; }} }}"));
        assert_eq!(config.upstreams[0].name, target, "{text}");
        let pass = pass(&config.sites[0].locations[0]);
        assert_eq!(pass.target, PassTarget::Upstream(0), "{text}");
        assert!(matches!(&pass.uri, PassUri::Whole(uri) if uri.parts.len() == parts), "{text}: {pass:?}");
    }
    let config = http("server { location / { proxy_pass http://$host${uri}; } }");
    assert!(config.upstreams.is_empty());
    let pass = pass(&config.sites[0].locations[0]);
    assert!(matches!(&pass.target, PassTarget::Variable(text) if text.parts.len() == 3), "{pass:?}");
}

#[test]
fn a_group_may_stand_below_its_use() {
    let config = http(
        "server { location / { proxy_pass http://u; } location /b { proxy_pass http://b:81; }
                  location /c { proxy_pass http://B:81/; } location /d { proxy_pass http://b; } }
         upstream U { least_conn; server a:1 weight=3 max_conns=4 max_fails=2 fail_timeout=5s;
                      server unix:/s backup; server c down; keepalive 8; keepalive_requests 9;
                      keepalive_time 10s; keepalive_timeout 11s; zone z 64k; }",
    );
    let targets: Vec<_> =
        config.sites[0].locations.iter().map(|location| pass(location).target.clone()).collect();
    assert_eq!(targets, [0, 1, 1, 2].map(PassTarget::Upstream));
    let names: Vec<_> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(names, ["U", "b:81", "b"]);
    let group = &config.upstreams[0];
    assert_eq!((group.balance, group.keepalive, group.requests_max), (Balance::LeastConn, 8, 9));
    assert_eq!((group.time_max.as_secs(), group.idle_timeout.as_secs()), (10, 11));
    let first = &group.servers[0];
    assert_eq!((first.weight, first.max_conns, first.max_fails), (3, 4, 2));
    assert!(group.servers[1].backup && group.servers[2].down);
    assert_eq!(config.upstreams[1].servers[0].name, "b:81");
    assert_eq!(config.upstreams[2].keepalive, 32);
}

#[test]
fn sockets_and_their_sites() {
    let config = http(
        "server { listen 81; listen [::]:82 default_server backlog=5 so_keepalive=30m::10; server_name a; }
         server { listen *:81 default_server; listen 82-83; listen unix:/s; server_name b; }",
    );
    let sockets: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| (listener.address.to_string(), listener.sites.clone(), listener.default_site))
        .collect();
    assert_eq!(
        sockets,
        [
            ("0.0.0.0:81".to_owned(), vec![0, 1], 1),
            ("[::]:82".to_owned(), vec![0], 0),
            ("0.0.0.0:82".to_owned(), vec![1], 1),
            ("0.0.0.0:83".to_owned(), vec![1], 1),
            ("unix:/s".to_owned(), vec![1], 1),
        ]
    );
    assert_eq!(config.listeners[1].backlog, Some(5));
    let keepalive = config.listeners[1].tcp_keepalive.expect("so_keepalive");
    assert_eq!(
        (keepalive.idle, keepalive.interval, keepalive.probes),
        (Some(Duration::from_secs(1800)), None, Some(10))
    );
}

#[test]
fn names_of_sites() {
    let exact = |name: &str| SiteName::Exact(name.to_owned());
    let site = site(r#"server_name A.b *.c www.d.* .e "" $hostname ~^(?<sub>x+)\.F$;"#);
    let [names @ .., SiteName::Regex(pattern)] = &site.names[..] else { panic!("{:?}", site.names) };
    assert_eq!(
        names,
        [
            exact("a.b"),
            SiteName::Suffix(".c".into()),
            SiteName::Prefix("www.d.".into()),
            exact("e"),
            SiteName::Suffix(".e".into()),
            exact(""),
            exact("box"),
        ]
    );
    assert!(pattern.regex().is_match(b"xx.f"));
    assert_eq!(pattern.slots(), [(1, 0)]);
}

#[test]
fn locations_of_every_kind() {
    let site = site(
        r"location = /a { internal; } location ^~ /b { } location /c { } location ~ \.php$ { } location ~* \.JPG$ { }
          location @d { } location =/e { } location ^~/f { } location ~g { }",
    );
    let kinds: Vec<_> = site
        .locations
        .iter()
        .map(|location| match &location.matches {
            Match::Exact(path) => format!("= {path}"),
            Match::Prefix { path, is_final: true } => format!("^~ {path}"),
            Match::Prefix { path, is_final: false } => path.clone(),
            Match::Regex(pattern) => format!("{pattern:?}"),
            Match::Named(name) => name.clone(),
        })
        .collect();
    assert_eq!(kinds, ["= /a", "^~ /b", "/c", r"~\.php$", r"~*\.JPG$", "@d", "= /e", "^~ /f", "~g"]);
    assert!(site.locations[0].is_internal && !site.locations[1].is_internal);
}

#[test]
fn answers_and_variables() {
    let config = http(
        "map $http_x $Y { default d; a 1; ~^b(?<tail>.*) $tail; hostnames; *.c 2; }
         server { set $v $Y; return 301 https://$host$request_uri;
                  location / { set $v 1; return 200 ok$v; set $w 2; return 404; }
                  location /u { return http://$v; } }",
    );
    let site = &config.sites[0];
    assert_eq!(site.sets[0].value.parts[..], [Part::Variable(Variable::Map(0))]);
    assert_eq!(site.answer.as_ref().map(|answer| answer.status), Some(301));
    let slot = site.sets[0].variable.clone();
    let [first, second] = &site.locations[..] else { panic!("{:?}", site.locations) };
    assert_eq!((first.sets.len(), &first.sets[0].variable), (1, &slot));
    let Action::Answer(answer) = &first.action else { panic!("{first:?}") };
    let text = answer.text.clone().expect("a text");
    assert_eq!((answer.status, &text.parts[1]), (200, &Part::Variable(slot)));
    assert!(matches!(&second.action, Action::Answer(answer) if answer.status == 302));
    let map = &config.maps[0];
    assert_eq!(map.exact, [("a".to_owned(), Template::text("1"))]);
    assert_eq!(map.wildcards, [(SiteName::Suffix(".c".into()), Template::text("2"))]);
    assert_eq!(map.patterns[0].1.parts[..], [Part::Variable(Variable::Slot(map.patterns[0].0.slots()[0].1))]);
    assert_eq!(map.default, Template::text("d"));
    assert_eq!(config.slots, 3);
}

#[test]
fn responses_and_logs() {
    let config = http(
        r#"log_format f escape=json '{"a":' '"$uri"}';
           server { access_log l f buffer=4k flush=5s if=$arg_a; access_log /m;
                    error_page 404 =200 /e; error_page 500 502 = @b; error_page 503 https://x/$uri;
                    location /a/ { proxy_pass http://u/b/; proxy_hide_header X-Y; proxy_pass_header Server;
                                   add_header A $uri always; server_tokens off; }
                    location /c { proxy_pass http://u; proxy_redirect ~*^(.*)$ /$1; proxy_redirect a b; }
                    location /d { proxy_pass http://u; proxy_redirect off; }
                    location /e { proxy_pass http://u; } }"#,
    );
    assert_eq!((config.formats[1].escape, config.formats[1].line.parts.len()), (Escape::Json, 3));
    let [a, c, d, e] = &config.sites[0].locations[..] else { panic!("{config:?}") };
    let log = &a.rules.logs[0];
    assert_eq!((log.format, log.buffer, log.flush), (1, 4096, Duration::from_secs(5)));
    assert_eq!(log.path.as_text(), Some(&b"/p/l"[..]));
    assert!(log.condition.is_some() && a.rules.logs[1].condition.is_none());
    let pages: Vec<_> = a.rules.error_pages.iter().map(|page| (page.statuses.clone(), page.status)).collect();
    assert_eq!(
        pages,
        [(vec![404], PageStatus::Set(200)), (vec![500, 502], PageStatus::Own), (vec![503], PageStatus::Kept)]
    );
    let delivery = &a.rules.delivery;
    assert!(delivery.added[0].is_always);
    assert!(delivery.hidden.contains(&"x-y".to_owned()) && delivery.hidden.contains(&"date".to_owned()));
    assert!(!delivery.hidden.contains(&"server".to_owned()));
    let change = |location: &Location| match &location.rules.delivery.redirects[..] {
        [change] => match &change.from {
            RedirectFrom::Text(from) => Some((from.clone(), change.to.clone())),
            RedirectFrom::Regex(_) => None,
        },
        _ => None,
    };
    assert_eq!(change(a), Some((Template::text("http://u/b/"), Template::text("/a/"))));
    assert_eq!(c.rules.delivery.redirects.len(), 2);
    assert!(d.rules.delivery.redirects.is_empty());
    assert_eq!(change(e), Some((Template::text("http://u/"), Template::text("/"))));
}

#[test]
fn clients_and_processes() {
    let text = "worker_processes 3; daemon off; pid x.pid; user root; worker_rlimit_nofile 99; error_log e info;
         worker_shutdown_timeout 5s; events { worker_connections 10; }
         http { error_log inner; set_real_ip_from 10.0.0.1/8; set_real_ip_from unix:; real_ip_header X-A;
                real_ip_recursive on; allow 1.2.3.4; deny all; large_client_header_buffers 2 1m; keepalive_timeout 0 5;
                server { listen 81; } }";
    let loaded = load_files(&[("/etc/n/nginx.conf", text)]).expect("a configuration");
    let process = &loaded.config.process;
    assert_eq!((process.workers, process.max_connections, process.daemon), (3, 30, false));
    assert_eq!(process.pid_file, Some("/p/x.pid".into()));
    assert_eq!(process.error_log, Some("/p/e".into()));
    assert_eq!((process.open_files, process.log_level), (Some(99), log::LevelFilter::Info));
    assert_eq!(process.user.as_ref().map(|user| user.name.as_str()), Some("root"));
    let client = &loaded.config.sites[0].client;
    assert_eq!(client.trusted, ["10.0.0.0/8".parse().expect("a net")]);
    assert!(client.trusts_unix);
    assert_eq!(client.real_ip, RealIp::Field { name: "x-a".to_owned(), is_recursive: true });
    assert_eq!((client.max_header_size, client.keepalive_timeout), (1 << 20, Duration::ZERO));
    let access: Vec<_> = loaded.config.sites[0]
        .location
        .rules
        .access
        .iter()
        .map(|a| (a.is_allowed, a.net.is_some()))
        .collect();
    assert_eq!(access, [(true, true), (false, false)]);
    let warning = loaded.warnings[0].to_string();
    assert_eq!(warning, "low address bits of 10.0.0.1/8 are meaningless in /etc/n/nginx.conf:3");
}

#[test]
fn files_include_others() {
    let main = "events {}\nhttp { include d/*.conf;\ninclude /t; server { types { include d/types; } } }";
    let loaded = load_files(&[
        ("/etc/n/nginx.conf", main),
        ("/etc/n/d/1.conf", "upstream u { include d/servers; }"),
        ("/etc/n/d/2.conf", "server { listen 81;\n server_name x; }"),
        ("/etc/n/d/servers", "server a:1; server b:1;"),
        ("/etc/n/d/types", "a/b c;"),
        ("/t", ""),
    ])
    .expect("a configuration");
    assert_eq!(loaded.config.upstreams[0].servers.len(), 2);
    assert_eq!(loaded.config.sites.len(), 2);
    let names: Vec<_> = loaded.files.iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(
        names,
        [
            "/etc/n/nginx.conf",
            "/etc/n/d/1.conf",
            "/etc/n/d/servers",
            "/etc/n/d/2.conf",
            "/t",
            "/etc/n/d/types"
        ]
    );
}

#[test]
fn errors_name_the_file_they_are_in() {
    let main = "events {}\nhttp {\ninclude a;\n}\n";
    let with = |text: &str| error(&[("/etc/n/nginx.conf", main), ("/etc/n/a", text)]);
    assert_eq!(with("\nfoo;"), "unknown directive \"foo\" in /etc/n/a:2");
    assert_eq!(with("server {"), "unexpected end of file, expecting \"}\" in /etc/n/a:1");
    assert_eq!(with("}"), "unexpected \"}\" in /etc/n/a:1");
    assert_eq!(
        with("server { } \n include b;"),
        "open() \"/etc/n/b\" failed (2: No such file or directory) in /etc/n/a:2"
    );
    assert_eq!(
        with("include a;"),
        "files are included 64 deep; does \"/etc/n/a\" include itself? in /etc/n/a:1"
    );
    assert_eq!(error(&[]), "open() \"/etc/n/nginx.conf\" failed (2: No such file or directory)");
}

#[test]
fn blocks_are_nested_only_so_deep() {
    let with = |depth: usize| {
        let (open, close) = ("location / {".repeat(depth), "}".repeat(depth));
        let text = format!("events {{}} http {{ server {{ {open} {close} }} }}");
        load_files(&[("/etc/n/nginx.conf", &text)]).map(|_| ()).map_err(|refused| refused.error.message)
    };
    assert_eq!(with(98), Ok(()));
    assert_eq!(with(99), Err("blocks are nested more than 100 deep".to_owned()));
    assert_eq!(with(100_000), Err("blocks are nested more than 100 deep".to_owned()));
}

#[test]
fn directives_of_the_command_line_come_first() {
    let with = |globals| {
        let files = Memory::new(&[("/etc/n/nginx.conf", "pid a; events {} http { server {} }")]);
        load(&files, &Options { globals, ..options() })
    };
    assert_eq!(with("worker_processes 4; daemon off;").map(|l| l.config.process.workers).ok(), Some(4));
    let error = |globals| with(globals).expect_err("it is wrong").error.to_string();
    assert_eq!(error("pid b"), "unexpected end of parameter, expecting \";\" in command line");
    assert_eq!(error("events {}"), "block directives are not supported in -g option in command line");
    assert_eq!(error("foo;"), "unknown directive \"foo\" in command line");
    assert_eq!(error("}"), "unexpected \"}\" in command line");
    assert_eq!(error("pid b;"), "\"pid\" directive is duplicate in /etc/n/nginx.conf:1");
}

#[test]
fn what_is_missing_as_a_whole() {
    let refused = load_files(&[("/etc/n/nginx.conf", "http { server {} }")]).expect_err("no events");
    assert_eq!(refused.error.to_string(), "no \"events\" section in configuration");
    assert!(refused.is_syntax_ok);
    assert_eq!(error(&[("/etc/n/nginx.conf", "events {}")]), "no \"server\" section in configuration");
}

#[test]
fn every_full_directive_is_carried_out() {
    use super::directives::{Arguments, Support, all};
    // Carried out where blocks are read, or by the reader.
    let elsewhere = ["include", "zone", "stub_status"];
    for row in all().filter(|row| row.support == Support::Full && !row.is_block) {
        if elsewhere.contains(&row.name) || row.arguments == Arguments::Between(0, 0) {
            continue;
        }
        // Wrong as a number, time, size, flag, address, URL, status and text; and said twice.
        let word = "${";
        let args = match row.arguments {
            Arguments::Flag => 1,
            Arguments::Between(least, _) | Arguments::AtLeast(least) => least.max(1),
        };
        let one = format!("{} {};", row.name, vec![word; args].join(" "));
        let text = match row.contexts.names()[0] {
            "main" => format!("{one} {one}"),
            "events" => format!("events {{ {one} {one} }}"),
            "upstream" => format!("events {{}} http {{ upstream u {{ {one} {one} }} }}"),
            "http" => format!("events {{}} http {{ {one} {one} server {{}} }}"),
            "server" => format!("events {{}} http {{ server {{ {one} {one} }} }}"),
            _ => format!("events {{}} http {{ server {{ location / {{ {one} {one} }} }} }}"),
        };
        let is_list = ["proxy_hide_header", "proxy_pass_header", "server_name"].contains(&row.name);
        let result = load_files(&[("/etc/n/nginx.conf", &text)]);
        assert!(result.is_err() || is_list, "{} does nothing", row.name);
    }
}
