//! `-s`: an order to a running process, by the pid in its pid file. In nginx's words, which scripts look for.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::config::nginx::cli::Signal as Order;
use crate::config::nginx::shown;

/// Sends an order to the process whose pid stands in the file.
///
/// # Errors
///
/// The line to print, behind the program's name and a colon: no file, no pid in it, no such process.
pub fn send(order: Order, pid_file: &Path) -> Result<(), String> {
    let path = pid_file.display();
    let text = fs::read_to_string(pid_file)
        .map_err(|error| format!("[error] open() \"{path}\" failed ({})", shown(&error)))?;
    let number = text.trim();
    let pid = number.parse().ok().filter(|number| *number > 0).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| format!("[error] invalid PID number \"{number}\" in \"{path}\""))?;
    let signal = match order {
        Order::Stop => Signal::TERM,
        Order::Quit => Signal::QUIT,
        Order::Reopen => Signal::USR1,
        Order::Reload => Signal::HUP,
    };
    kill_process(pid, signal).map_err(|error| {
        format!("[alert] kill({number}, {}) failed ({})", signal.as_raw(), shown(&error.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_said_in_nginx_s_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("nginx.pid");
        let shown = path.display();
        assert_eq!(
            send(Order::Quit, &path).expect_err("no file"),
            format!("[error] open() \"{shown}\" failed (2: No such file or directory)")
        );
        for text in ["", "abc\n", "-5\n", "0"] {
            fs::write(&path, text).expect("written");
            assert_eq!(
                send(Order::Reload, &path).expect_err("no pid"),
                format!("[error] invalid PID number \"{}\" in \"{shown}\"", text.trim())
            );
        }
        // Beyond what the kernel gives out.
        fs::write(&path, "2147483647\n").expect("written");
        for (order, number) in [(Order::Stop, 15), (Order::Quit, 3), (Order::Reopen, 10), (Order::Reload, 1)]
        {
            assert_eq!(
                send(order, &path).expect_err("no such process"),
                format!("[alert] kill(2147483647, {number}) failed (3: No such process)")
            );
        }
    }
}
