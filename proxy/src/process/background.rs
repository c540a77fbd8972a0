//! What a process leaves behind once everything is bound: the terminal it was started from, and root's rights.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;

use nix::unistd::{self, Gid, Group};

use crate::config::User;
use crate::logging;

/// Why the process cannot become another user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no user \"{0}\"; correct the name in \"user\", or make the user")]
    NoUser(String),
    /// There is no such group.
    #[error("there is no group \"{0}\"; name the user's group in \"user\", or make the group")]
    NoGroup(String),
    /// The kernel refused.
    #[error("cannot become the user \"{0}\": {1}")]
    Refused(String, io::Error),
}

/// Goes to the background: the caller's process ends with status 0, and another one goes on from here, in a
/// session of its own, with nothing on its standard input and output; what would go to standard error goes to the error
/// log's file, if there is one.
///
/// To be called before any thread is started.
///
/// # Errors
///
/// When the system has no room for another process, or has no `/dev/null`.
pub fn enter() -> io::Result<()> {
    let nothing = nothing()?;
    unistd::daemon(true, true)?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    redirect_errors()
}

/// Has standard error go to the error log's file: a panic is to be read somewhere. Without one, messages go to standard
/// error themselves, and it stays as it is.
///
/// # Errors
///
/// When the kernel refuses.
pub fn redirect_errors() -> io::Result<()> {
    match logging::file() {
        Some(file) => Ok(rustix::stdio::dup2_stderr(&file)?),
        None => Ok(()),
    }
}

fn nothing() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// Has these log files belong to the user that the process is to become, which will have to open them again
/// (`ngx_reopen_files`).
pub fn hand_over<'a>(user: &User, files: impl Iterator<Item = &'a File>) {
    let Ok(Some(account)) = unistd::User::from_name(&user.name) else { return };
    for file in files {
        let is_regular = file.metadata().is_ok_and(|meta| meta.is_file());
        // Without it the next opening says what is wrong.
        let _ = is_regular.then(|| unistd::fchown(file, Some(account.uid), None));
    }
}

/// Becomes `user`, and its group, for good. Where the process is not root's that is impossible: then a line in
/// the log says so, as with nginx, unless it is that user already.
///
/// To be called before any thread is started.
///
/// # Errors
///
/// See [`UserError`].
pub fn become_user(user: &User) -> Result<(), UserError> {
    let uid = unistd::geteuid();
    if !uid.is_root() {
        if unistd::User::from_name(&user.name).is_ok_and(|account| account.is_some_and(|it| it.uid == uid)) {
            return Ok(());
        }
        log::warn!(
            "\"user\" makes sense only if the process runs with super-user privileges: {} is ignored",
            user.name
        );
        return Ok(());
    }
    let refused = |error: nix::Error| UserError::Refused(user.name.clone(), error.into());
    let account = unistd::User::from_name(&user.name)
        .map_err(refused)?
        .ok_or_else(|| UserError::NoUser(user.name.clone()))?;
    let group = group(user)?;
    let name = CString::new(user.name.as_str()).map_err(|_| UserError::NoUser(user.name.clone()))?;
    unistd::setgid(group).map_err(refused)?;
    unistd::initgroups(&name, group).map_err(refused)?;
    unistd::setuid(account.uid).map_err(refused)
}

fn group(user: &User) -> Result<Gid, UserError> {
    let name = user.group.as_ref().unwrap_or(&user.name);
    let group =
        Group::from_name(name).map_err(|error| UserError::Refused(user.name.clone(), error.into()))?;
    Ok(group.ok_or_else(|| UserError::NoGroup(name.clone()))?.gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_is_named() {
        let nobody = User { name: "nobody-of-that-name".to_owned(), group: None };
        let text = group(&nobody).expect_err("no group").to_string();
        assert!(text.starts_with("there is no group \"nobody-of-that-name\""), "{text}");
        let roots = User { group: Some("root".to_owned()), ..nobody };
        assert_eq!(group(&roots).expect("a group").as_raw(), 0);
        if unistd::geteuid().is_root() {
            let text = become_user(&roots).expect_err("no user").to_string();
            assert!(text.starts_with("there is no user \"nobody-of-that-name\""), "{text}");
        }
    }
}
