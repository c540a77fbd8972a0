//! nginx's command line: `proxy -c nginx.conf -p PREFIX -t`, as far as it is words.
//!
//! The single-letter options are nginx's, read as nginx reads them (`ngx_get_options` in
//! `src/core/nginx.c`): letters can stand together, `-tq`, and a value directly behind its letter,
//! `-cnginx.conf`. A command line that begins with one of `--flags` is not nginx's; [`is_nginx`] tells them
//! apart.

use std::ffi::OsString;

use super::{Loaded, Options, Refused};
use crate::config::LANGUAGE;

/// The file unless `-c` says so, below the prefix.
const CONF: &str = "nginx.conf";

/// The log of errors unless `-e` or the configuration says so, below the prefix.
const ERROR_LOG: &str = "logs/error.log";

/// The parts of a default build of nginx that are not here, as its `configure` names them. `http_rewrite`
/// is here in part: `return` and `set`.
const WITHOUT: [&str; 20] = [
    "http_charset",
    "http_gzip",
    "http_ssi",
    "http_userid",
    "http_auth_basic",
    "http_mirror",
    "http_autoindex",
    "http_geo",
    "http_split_clients",
    "http_referer",
    "http_fastcgi",
    "http_uwsgi",
    "http_scgi",
    "http_grpc",
    "http_memcached",
    "http_limit_conn",
    "http_limit_req",
    "http_empty_gif",
    "http_browser",
    "http_tunnel",
];

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To run.
    Run,
    /// To check the configuration (`-t`), and to show it (`-T`).
    Test {
        /// Show it.
        dumps: bool,
    },
    /// To signal the process in the pid file (`-s`).
    Signal(Signal),
    /// To show the version (`-v`), and what is there (`-V`).
    Version {
        /// And what is there.
        is_long: bool,
    },
    /// To show these options (`-h`, `-?`).
    Help,
}

/// What `-s` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// TERM: end at once.
    Stop,
    /// QUIT: finish the requests in flight.
    Quit,
    /// USR1: reopen the logs.
    Reopen,
    /// HUP: read the configuration anew.
    Reload,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// What is to be done.
    pub command: Command,
    /// The folder that paths are relative to, with its last slash (`-p`).
    pub prefix: String,
    /// The file, with its folder (`-c`).
    pub path: String,
    /// Where messages go unless the configuration says so, as written (`-e`).
    pub error_log: String,
    /// Directives that come before the file (`-g`).
    pub globals: String,
    /// Only errors are shown while the configuration is checked (`-q`).
    pub is_quiet: bool,
    /// The version is shown before it is (`-v` or, with more of it, `-V`).
    pub version: Option<bool>,
}

impl CommandLine {
    /// What the configuration is read with, by a process with these privileges on the machine of this name.
    pub fn options<'a>(&'a self, is_root: bool, hostname: &'a str) -> Options<'a> {
        Options {
            path: self.path.clone(),
            prefix: self.prefix.clone(),
            globals: &self.globals,
            error_log: &self.error_log,
            is_root,
            hostname,
        }
    }
}

/// Whether these arguments, without the program's name, are nginx's: the first begins with one hyphen and
/// one of its letters. `-h` alone is the proxy's own, as is nothing at all.
pub fn is_nginx(args: &[OsString]) -> bool {
    let Some(first) = args.first().and_then(|arg| arg.to_str()) else { return false };
    let mut letters = first.strip_prefix('-').unwrap_or_default().chars();
    letters.next().is_some_and(|letter| "?vVtTqspecg".contains(letter))
}

/// Reads the arguments, without the program's name. Without `-p` the prefix is `folder`, the working
/// directory, as with an nginx that is built without one.
///
/// # Errors
///
/// In nginx's words, to be shown after `nginx: `; the exit status is 1.
pub fn parse(args: &[OsString], folder: &str) -> Result<CommandLine, String> {
    if let Some(flag) = args.iter().filter_map(|arg| arg.to_str()).find(|arg| is_flag(arg)) {
        return Err(format!("{flag} does not go with an nginx.conf, which says that itself; leave it out"));
    }
    let mut words = Vec::new();
    for arg in args {
        words.push(arg.to_str().ok_or_else(|| format!("invalid option: \"{}\"", arg.to_string_lossy()))?);
    }
    let mut words = words.into_iter();
    let (mut tests, mut dumps, mut is_quiet) = (false, false, false);
    let (mut shows_help, mut version, mut signal) = (false, None, None);
    let (mut prefix, mut path, mut error_log, mut globals) = (None, None, None, None);
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-') else { return Err(format!("invalid option: \"{word}\"")) };
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                '?' | 'h' => shows_help = true,
                'v' => version = Some(version.unwrap_or(false)),
                'V' => version = Some(true),
                't' => tests = true,
                'T' => (tests, dumps) = (true, true),
                'q' => is_quiet = true,
                'p' | 'c' | 'e' | 'g' | 's' => {
                    let value = match std::mem::take(&mut rest) {
                        "" => words.next().unwrap_or_default(),
                        value => value,
                    };
                    let what = match letter {
                        'p' => "directory name",
                        'c' | 'e' => "file name",
                        _ => "parameter",
                    };
                    if value.is_empty() {
                        return Err(format!("option \"-{letter}\" requires {what}"));
                    }
                    match letter {
                        'p' => prefix = Some(value),
                        'c' => path = Some(value),
                        'e' => error_log = Some(value),
                        'g' => globals = Some(value),
                        _ => signal = Some(signal_named(value)?),
                    }
                }
                other => return Err(format!("invalid option: \"{other}\"")),
            }
        }
    }
    let mut prefix = prefix.unwrap_or(folder).to_owned();
    if !prefix.ends_with('/') {
        prefix.push('/');
    }
    let path = path.unwrap_or(CONF);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{prefix}{path}") };
    Ok(CommandLine {
        command: match (shows_help, version, signal) {
            (true, ..) => Command::Help,
            (_, Some(is_long), _) if !tests => Command::Version { is_long },
            _ if tests => Command::Test { dumps },
            (.., Some(signal)) => Command::Signal(signal),
            _ => Command::Run,
        },
        prefix,
        path,
        error_log: error_log.unwrap_or(ERROR_LOG).to_owned(),
        globals: globals.unwrap_or_default().to_owned(),
        is_quiet,
        version,
    })
}

/// Whether this is one of the flags of a command line that is not nginx's: `--listen`. nginx has no option that begins so.
fn is_flag(arg: &str) -> bool {
    arg.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

fn signal_named(name: &str) -> Result<Signal, String> {
    match name {
        "stop" => Ok(Signal::Stop),
        "quit" => Ok(Signal::Quit),
        "reopen" => Ok(Signal::Reopen),
        "reload" => Ok(Signal::Reload),
        _ => Err(format!("invalid option: \"-s {name}\"")),
    }
}

/// What `-v` and `-V` show on standard error: our own name and version first, then the level of the
/// language, and what of a default build is not here.
pub fn version(is_long: bool) -> String {
    let mut text =
        format!("proxy version: proxy/{}\nnginx version: nginx/{LANGUAGE}\n", env!("CARGO_PKG_VERSION"));
    if is_long {
        let without = WITHOUT.map(|part| format!(" --without-{part}_module")).concat();
        text.push_str(&format!(
            "configure arguments: --prefix= --with-http_realip_module --with-http_stub_status_module{without} \
             --without-http-cache\n"
        ));
    }
    text
}

/// What `-h` shows on standard error.
pub fn help() -> String {
    format!(
        "{}Usage: proxy [-?hvVtTq] [-s signal] [-p prefix]
             [-e filename] [-c filename] [-g directives]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a running process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: the working directory)
  -e filename   : set error log file (default: {ERROR_LOG})
  -c filename   : set configuration file (default: {CONF})
  -g directives : set global directives out of configuration file

Or without any file: proxy --help
",
        version(false)
    )
}

/// What reading a configuration shows on standard error, and on standard output with `-T`; and whether
/// it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For standard error.
    pub stderr: String,
    /// For standard output: the files, each behind a line with its name.
    pub stdout: Vec<u8>,
    /// The exit status is 0, else 1.
    pub is_ok: bool,
}

/// Words what came of reading a configuration, as nginx does: warnings and the error, and with `-t` and `-T` what
/// the check has shown.
pub fn report(line: &CommandLine, result: &Result<Loaded, Box<Refused>>) -> Report {
    let path = &line.path;
    let warnings = match result {
        Ok(loaded) => &loaded.warnings,
        Err(refused) => &refused.warnings,
    };
    let mut stderr = String::new();
    for warning in warnings {
        stderr.push_str(&format!("nginx: [warn] {warning}\n"));
    }
    let tests = matches!(line.command, Command::Test { .. });
    let is_syntax_ok = result.as_ref().map_or_else(|refused| refused.is_syntax_ok, |_| true);
    if is_syntax_ok && tests && !line.is_quiet {
        stderr.push_str(&format!("nginx: the configuration file {path} syntax is ok\n"));
    }
    let mut stdout = Vec::new();
    match result {
        Ok(loaded) => {
            if tests && !line.is_quiet {
                stderr.push_str(&format!("nginx: configuration file {path} test is successful\n"));
            }
            if line.command == (Command::Test { dumps: true }) {
                for (name, bytes) in &loaded.files {
                    stdout.extend_from_slice(format!("# configuration file {name}:\n").as_bytes());
                    stdout.extend_from_slice(bytes);
                    stdout.push(b'\n');
                }
            }
        }
        Err(refused) => {
            stderr.push_str(&format!("nginx: [emerg] {}\n", refused.error));
            if tests {
                stderr.push_str(&format!("nginx: configuration file {path} test failed\n"));
            }
        }
    }
    Report { stderr, stdout, is_ok: result.is_ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<CommandLine, String> {
        let args: Vec<OsString> = line.split_ascii_whitespace().map(OsString::from).collect();
        parse(&args, "/w")
    }

    #[test]
    fn options_are_read_as_nginx_reads_them() {
        let line = read("-p /run/x -c a.conf -e stderr -g daemon -tq").expect("a command line");
        assert_eq!(
            line,
            CommandLine {
                command: Command::Test { dumps: false },
                prefix: "/run/x/".to_owned(),
                path: "/run/x/a.conf".to_owned(),
                error_log: "stderr".to_owned(),
                globals: "daemon".to_owned(),
                is_quiet: true,
                version: None,
            }
        );
        assert_eq!(read("-c/a/b.conf").map(|line| line.path), Ok("/a/b.conf".to_owned()));
        assert_eq!(read("-t").map(|line| line.path), Ok("/w/nginx.conf".to_owned()));
        for (words, command) in [
            ("", Command::Run),
            ("-T", Command::Test { dumps: true }),
            ("-s reload", Command::Signal(Signal::Reload)),
            ("-sstop", Command::Signal(Signal::Stop)),
            ("-v", Command::Version { is_long: false }),
            ("-vV", Command::Version { is_long: true }),
            ("-tVh", Command::Help),
            ("-Vt", Command::Test { dumps: false }),
            ("-t -s reload", Command::Test { dumps: false }),
            ("-?", Command::Help),
        ] {
            assert_eq!(read(words).map(|line| line.command), Ok(command), "{words}");
        }
    }

    #[test]
    fn slips_are_worded_as_nginx_words_them() {
        for (words, error) in [
            ("-x", "invalid option: \"x\""),
            ("foo", "invalid option: \"foo\""),
            ("-s foo", "invalid option: \"-s foo\""),
            ("-s", "option \"-s\" requires parameter"),
            ("-g", "option \"-g\" requires parameter"),
            ("-c", "option \"-c\" requires file name"),
            ("-e", "option \"-e\" requires file name"),
            ("-p", "option \"-p\" requires directory name"),
            (
                "-c x --listen 80",
                "--listen does not go with an nginx.conf, which says that itself; leave it out",
            ),
        ] {
            assert_eq!(read(words), Err(error.to_owned()), "{words}");
        }
    }

    #[test]
    fn the_flags_of_the_proxy_are_not_nginx_s() {
        let is_nginx = |line: &str| {
            let args: Vec<OsString> = line.split_ascii_whitespace().map(OsString::from).collect();
            is_nginx(&args)
        };
        for line in ["-c x", "-t", "-p /x", "-T", "-V", "-s stop", "-g x", "-e x", "-q", "-?", "-v"] {
            assert!(is_nginx(line), "{line}");
        }
        for line in ["", "--upstream a", "--help", "-h", "upstream"] {
            assert!(!is_nginx(line), "{line}");
        }
    }

    #[test]
    fn the_version_names_what_is_spoken() {
        let text = version(true);
        assert!(text.starts_with("proxy version: proxy/"), "{text}");
        assert!(text.contains(&format!("\nnginx version: nginx/{LANGUAGE}\n")), "{text}");
        assert!(text.contains(" --without-http_ssi_module"), "{text}");
        assert_eq!(version(false).lines().count(), 2);
    }
}
