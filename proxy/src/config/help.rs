//! The text of `-h` and `--help`, from the flags' own descriptions.
//!
//! clap's layouts are left aside: its short one puts every flag on two lines as soon as one is long, its
//! long one spends 250 lines. Both here are made for 80 columns.

use std::fmt::Write;

use clap::{Arg, Command};

const ABOUT: &str = "proxy: an HTTP/1.1 reverse proxy and load balancer

Usage: proxy --upstream SERVER[,SERVER...] [FLAGS]
";

const LONG_ABOUT: &str = "proxy: an HTTP/1.1 reverse proxy and load balancer

It shares requests out to several servers, leaves out those that fail, and takes
them back when they answer again. Words and defaults are nginx's, except where a
flag says why not.

Usage: proxy --upstream SERVER[,SERVER...] [FLAGS]

A time is 500ms, 10s, 1m30s or 2h; a bare number is seconds. A size is 8k, 1m or
1g; a bare number is bytes. Defaults stand in brackets.
";

const END: &str = "
Times: 500ms, 10s, 1m30s, 2h. Sizes: 8k, 1m, 1g. Defaults stand in brackets.
Try it:  proxy --upstream app1:5000,app2:5000
--help explains each flag and shows examples.
";

const LONG_END: &str = "
Signals:
  TERM, INT  end at once
  QUIT       finish the requests in flight, then end
  HUP        read the nginx.conf again, where there is one
  USR1       reopen the logs, after they were rotated, and log the counters
  USR2       start the binary anew, with the listeners of this process
  WINCH      in the background: take no more clients, as after USR2

Exit status: 0 after a signal, 1 if starting fails or a worker is lost, 2 for a
bad command line.

With an nginx.conf: proxy -c FILE. proxy -? lists nginx's options.

Examples:
  Share requests out to two servers, on port 8080:
    proxy --upstream app1:5000,app2:5000

  The same client always to the same server:
    proxy --upstream app1:5000,app2:5000 --balance ip_hash

  Twice the share for app1; app3 only while neither of the others can:
    proxy --upstream \"app1:5000 weight=2, app2:5000, app3:5000 backup\"

  Take a server out for 30 s after three failures within 30 s; try the next one
  also when a server answers 502 or 503:
    proxy --upstream app1:5000,app2:5000 --max-fails 3 --fail-timeout 30s \\
          --next-upstream error,timeout,http_502,http_503

  Ask each server for /healthz, and leave out those that do not answer well:
    proxy --upstream app1:5000,app2:5000 --health-check /healthz

  Behind another proxy, on IPv4 and IPv6, with one log line per request:
    proxy --upstream unix:/run/app.sock --listen 8080 --listen '[::]:8080' \\
          --trust-forwarded 10.0.0.0/8 --access-log -
";

/// The column in which the descriptions begin.
const COLUMN: usize = 32;

/// One line for each flag.
pub(super) fn short(command: &Command) -> String {
    let mut text = ABOUT.to_owned();
    for_each_flag(command, &mut text, |text, arg| text.push_str(&line(arg)));
    text + END
}

/// The same lines, each with its explanation below, and examples.
pub(super) fn long(command: &Command) -> String {
    let mut text = LONG_ABOUT.to_owned();
    for_each_flag(command, &mut text, |text, arg| {
        text.push_str(&line(arg));
        let help = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
        if let Some((_, explanation)) = help.split_once("\n\n") {
            for line in explanation.lines() {
                text.push_str(&format!("      {line}\n"));
            }
            text.push('\n');
        }
    });
    text + LONG_END
}

/// `  --tries N                     servers tried for a request; 0: all [0]`
fn line(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    format!("  {:<width$}{help}{}\n", usage(arg), default(arg), width = COLUMN - 2)
}

/// Calls `write` for each flag in its order, with a heading before each group.
fn for_each_flag(command: &Command, text: &mut String, write: impl Fn(&mut String, &Arg)) {
    let mut heading = None;
    for arg in command.get_arguments() {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            // Writing to a String does not fail.
            let gap = if text.ends_with("\n\n") { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{}:", heading.unwrap_or_default());
        }
        write(text, arg);
    }
}

/// `--balance METHOD`, `-h, --help`.
fn usage(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let long = arg.get_long().unwrap_or_default();
    let value = match arg.get_action().takes_values() {
        true => arg.get_value_names().unwrap_or_default().first().map(|name| format!(" {name}")),
        false => None,
    };
    format!("{short}--{long}{}", value.unwrap_or_default())
}

/// ` [10s]`, or nothing.
fn default(arg: &Arg) -> String {
    match arg.get_default_values() {
        [value] if arg.get_action().takes_values() => format!(" [{}]", value.to_string_lossy()),
        _ => String::new(),
    }
}
