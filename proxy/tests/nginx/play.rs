//! Plays the cases of a table with nginx and with the proxy, and compares their transcripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use crate::case::{self, Case, Deed, Step};
use crate::notation::bytes;
use crate::origins::Origins;
use crate::subject::{Kind, Subject};
use crate::support::name_server::NameServer;
use crate::support::{Conn, free_address};
use crate::{client, same};

/// A case with addresses for its words and a folder for its files.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    /// The words of a configuration and what they stand for.
    words: Vec<(String, String)>,
    /// Where requests go, by word.
    listeners: BTreeMap<&'static str, SocketAddr>,
    /// A listener at a Unix socket.
    socket_listener: PathBuf,
    origins: BTreeMap<char, SocketAddr>,
    socket: Option<PathBuf>,
    /// It lives as long as the case.
    _names: Option<NameServer>,
}

impl Stage {
    /// Writes the case's `nginx.conf`.
    pub(crate) fn new(case: &Case) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        // nginx's worker gives root's rights away, and opens logs and sockets afterwards.
        allow_all(folder.path());
        // It opens a log whose name has a variable only where there is a root for files.
        fs::create_dir(folder.path().join("html")).expect("a folder");
        for (name, text) in &case.files {
            let path = folder.path().join("html").join(name);
            fs::create_dir_all(path.parent().expect("a folder around it")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let text = if case.file.is_empty() { in_full(case) } else { case.file.clone() };
        let mut words = Vec::new();
        let mut origins = BTreeMap::new();
        let is_named =
            |letter: &char| ["}", ":port}"].iter().any(|end| text.contains(&format!("{{{letter}{end}")));
        for letter in ('a'..='f').filter(is_named) {
            origins.insert(letter, free_address());
            words.push((format!("{{{letter}}}"), origins[&letter].to_string()));
            words.push((format!("{{{letter}:port}}"), origins[&letter].port().to_string()));
        }
        let names = text.contains("{names}").then(|| name_server(&origins));
        words.extend(names.iter().map(|names| ("{names}".to_owned(), names.address().to_string())));
        let mut listeners =
            BTreeMap::from(["{front}", "{side}", "{back}"].map(|word| (word, free_address())));
        let has_port = text.contains("{side:port}");
        if let Some(address) = listeners.get_mut("{side}").filter(|_| has_port) {
            address.set_port(port_of_all_addresses());
        }
        words.extend(listeners.iter().map(|(word, address)| ((*word).to_owned(), address.to_string())));
        // Looked for in transcripts only where it is a case's word: any number could be that of a port.
        if has_port {
            words.push(("{side:port}".to_owned(), listeners["{side}"].port().to_string()));
        }
        for word in ["{dead}", "{gone}"] {
            words.push((word.to_owned(), free_address().to_string()));
        }
        let socket_listener = folder.path().join("front.sock");
        words.push(("{socket}".to_owned(), format!("unix:{}", socket_listener.display())));
        let socket = text.contains("{u}").then(|| folder.path().join("u.sock"));
        if let Some(path) = &socket {
            words.push(("{u}".to_owned(), format!("unix:{}", path.display())));
        }
        words.push(("{dir}".to_owned(), folder.path().display().to_string()));
        let stage = Stage { folder, words, listeners, socket_listener, origins, socket, _names: names };
        fs::write(stage.folder.path().join("nginx.conf"), stage.put(&text)).expect("a file");
        stage
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Addresses for words.
    pub(crate) fn put(&self, text: &str) -> String {
        self.words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }

    /// The case with addresses in what its origins say.
    fn cast(&self, case: &Case) -> Case {
        let mut case = case.clone();
        for (_, deed) in &mut case.deeds {
            if let Deed::Send(text) = deed {
                *text = self.put(text);
            }
        }
        case
    }

    /// Words for addresses, so that a transcript can be read.
    fn take(&self, text: &str) -> String {
        self.words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(value, word))
    }
}

/// A port that is free at all addresses of the machine. Below those that the kernel gives away, since of these another
/// test may have one at some address by the time it is listened at.
fn port_of_all_addresses() -> u16 {
    let start = (std::process::id() % 10_000) as u16;
    let mut ports = (0..10_000).map(|n| 20_000 + (start + n) % 10_000);
    ports.find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()).expect("a free port")
}

/// A name server that knows `a.test` and so on, where the origins are, and `alias.test`, which is `a.test`.
fn name_server(origins: &BTreeMap<char, SocketAddr>) -> NameServer {
    let addresses = origins.iter().map(|(letter, address)| (format!("{letter}.test"), address.ip()));
    let addresses: BTreeMap<String, IpAddr> = addresses.collect();
    NameServer::start(move |asked| {
        let find = |name: &str| match addresses.get(name) {
            Some(IpAddr::V4(ip)) => Some(*ip),
            _ => None,
        };
        let message = match (asked.name.as_str(), find(&asked.name), find("a.test")) {
            ("alias.test", _, Some(ip)) => asked.alias("a.test", ip, 60),
            (_, Some(ip), _) => asked.addresses(&[ip], 60),
            _ => asked.failed(3),
        };
        vec![message]
    })
}

/// Lets every user in.
pub(crate) fn allow_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("a file of one's own");
}

/// The whole file of a case.
fn in_full(case: &Case) -> String {
    let server = match case.server.trim() {
        "" => String::new(),
        inside => format!("server {{\nlisten {{front}};\n{inside}\n}}\n"),
    };
    format!(
        "daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{ worker_connections 256; }}\n\
         http {{\naccess_log off;\nclient_body_temp_path t1;\nproxy_temp_path t2;\nfastcgi_temp_path t3;\n\
         uwsgi_temp_path t4;\nscgi_temp_path t5;\n\
         proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n{}{server}}}\n",
        case.http
    )
}

/// Plays a case with one of the two. Returns its transcript.
pub(crate) fn play(kind: Kind, case: &Case, stage: &Stage) -> String {
    let case = &stage.cast(case);
    let origins = Origins::start(case, &stage.origins, stage.socket.as_deref());
    let subject = Subject::start(kind, stage.folder());
    let mut text = String::new();
    let mut source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut listener = "{front}";
    let mut held: Vec<(String, Conn)> = Vec::new();
    let mut ports = Vec::new();
    for step in &case.steps {
        let seen = origins.count();
        let mut connect = || {
            let Some(address) = stage.listeners.get(listener) else {
                return Conn::to_unix(&stage.socket_listener);
            };
            let (conn, port) = client::connect(source, *address);
            ports.push(port);
            conn
        };
        match step {
            Step::From(address) => {
                source = address.parse().expect("an address");
                continue;
            }
            Step::At(word) => {
                listener = word;
                continue;
            }
            Step::Hold(target) => {
                let mut conn = connect();
                conn.send(client::request("GET", target, "⏎Host: test", ""));
                origins.wait_beyond(seen);
                held.push((format!("GET {target}, held\n"), conn));
                continue;
            }
            Step::Ask { method, target, fields, body } => {
                let _ = writeln!(text, "{method} {target}");
                let mut conn = connect();
                conn.send(client::request(method, target, fields, body));
                text.push_str(&client::response(&mut conn, method == "HEAD").0);
            }
            Step::Send(script) => {
                let _ = writeln!(text, "{script}");
                let mut conn = connect();
                conn.send(bytes(script));
                for part in script.split(" HTTP/1.").take(script.matches(" HTTP/1.").count().max(1)) {
                    let (response, is_open) = client::response(
                        &mut conn,
                        part.rsplit('⏎').next().is_some_and(|line| line.starts_with("HEAD ")),
                    );
                    text.push_str(&response);
                    if !is_open {
                        break;
                    }
                }
            }
        }
        write_seen(&mut text, &origins, seen);
    }
    origins.release();
    for (name, mut conn) in held {
        text.push_str(&name);
        text.push_str(&client::response(&mut conn, false).0);
    }
    let complaint = subject.stop();
    write_logs(&mut text, stage.folder());
    if let Some(complaint) = complaint {
        let _ = writeln!(text, "!! {complaint}");
    }
    same::words(&stage.take(&text), &ports, &stage.listeners)
}

/// Appends what the origins saw from the request numbered `from` on.
fn write_seen(out: &mut String, origins: &Origins, from: usize) {
    for (letter, message) in origins.since(from) {
        client::write_message(out, &message);
        let _ = writeln!(out, "    (seen by {letter})");
    }
}

/// Appends the lines of all access logs, and removes these for the next play.
fn write_logs(out: &mut String, folder: &Path) {
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().map(|one| one.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "log")) {
        let name = path.file_name().expect("a name").to_string_lossy();
        if name != "error.log" {
            for line in String::from_utf8_lossy(&fs::read(path).expect("a log")).lines() {
                let _ = writeln!(out, "{name}: {line}");
            }
        }
        fs::remove_file(path).expect("a log");
    }
}

/// Plays a case with both; the text says what differs.
pub(crate) fn compare(case: &Case) -> Result<(), String> {
    let start = Instant::now();
    let play = || {
        let stage = Stage::new(case);
        let theirs = play(Kind::Nginx, case, &stage);
        (theirs, self::play(Kind::Ours, case, &stage))
    };
    let (theirs, ours) = catch_unwind(AssertUnwindSafe(play)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })?;
    if env::var_os("NGINX_SHOW").is_some() {
        println!("{}, {:?}\nnginx:\n{theirs}\nours:\n{ours}", case.name, start.elapsed());
    }
    let (mut theirs, ours) = (same::without_allowed(&theirs), same::without_allowed(&ours));
    for (from, to) in &case.differs {
        if !theirs.contains(from) {
            return Err(format!("nginx does not say {from:?} any more:\n{theirs}"));
        }
        theirs = theirs.replace(from, to);
    }
    let lines = |text: &str| {
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    let (theirs, ours) = (lines(&theirs), lines(&ours));
    if theirs == ours {
        return Ok(());
    }
    Err(difference(&theirs, &ours))
}

/// Both transcripts as one, with `-` before nginx's lines and `+` before ours where they differ.
fn difference(theirs: &str, ours: &str) -> String {
    let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.lines().collect(), ours.lines().collect());
    // The longest common part, from the ends: transcripts are short.
    let mut longest = vec![vec![0; ours.len() + 1]; theirs.len() + 1];
    for i in (0..theirs.len()).rev() {
        for j in (0..ours.len()).rev() {
            longest[i][j] = if theirs[i] == ours[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut text = String::from("  (- nginx, + ours)\n");
    while i < theirs.len() || j < ours.len() {
        let (mark, line) = if i < theirs.len() && j < ours.len() && theirs[i] == ours[j] {
            (i, j) = (i + 1, j + 1);
            (' ', theirs[i - 1])
        } else if j == ours.len() || (i < theirs.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            i += 1;
            ('-', theirs[i - 1])
        } else {
            j += 1;
            ('+', ours[j - 1])
        };
        let _ = writeln!(text, "{mark} {line}");
    }
    text
}

/// Plays a table; fails with all that differs.
pub(crate) fn table(name: &str, text: &str) {
    let only = env::var("NGINX_CASE").unwrap_or_default();
    let cases: Vec<Case> = case::table(text).into_iter().filter(|case| case.name.contains(&only)).collect();
    let mut report = String::new();
    let mut failed = 0;
    for case in &cases {
        if let Err(difference) = compare(case) {
            failed += 1;
            let _ = writeln!(report, "\n{name}: {}\n{}{}{difference}", case.name, case.http, case.server);
        }
    }
    assert!(failed == 0, "{failed} of {} cases differ:\n{report}", cases.len());
}
