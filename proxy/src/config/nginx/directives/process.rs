//! Outside of all blocks, and in `events`.

use super::{
    Context, Directive, EVENTS, FLAG, HTTP_LOCATION, MAIN, NONE, ONE, ONE_OR_TWO, SOME, block, ignored, row,
};
use crate::config::nginx::directives::Arguments;

const TWO_OR_THREE: Arguments = Arguments::Between(2, 3);

pub(super) const ROWS: &[Directive] = &[
    row("include", Context::ANY, ONE, "", "Reads another file, or all that match a pattern, in this place.")
        .differs("At most 64 files deep; blocks stand in each other at most 100 deep."),
    block("events", MAIN, NONE, "How connections are handled."),
    block("http", MAIN, NONE, "Everything about HTTP."),
    row("daemon", MAIN, FLAG, "on", "Goes to the background."),
    row("pid", MAIN, ONE, "logs/nginx.pid", "A file with the process id, there while clients are accepted."),
    row("user", MAIN, ONE_OR_TWO, "", "The user, and the group, to become after binding.")
        .differs(
            "The whole process becomes that user, as there is no master that stays root: what only root may bind or \
             open has to be there from the start. Where the pid file's folder is root's, there is no `.oldbin`, and at the \
             end the file is emptied instead of removed. Without it a process of root's stays root's, with a warning at start, \
             where nginx's workers become `nobody`: as such it could neither read its file again nor open logs anew.",
        ),
    row("worker_processes", MAIN, ONE, "1", "How many workers serve: a number, or `auto` for one per core.")
        .differs("Workers are threads of one process. A reload does not change their number; a new binary (USR2) does."),
    row("worker_rlimit_nofile", MAIN, ONE, "", "The limit of open files."),
    row(
        "worker_shutdown_timeout",
        MAIN,
        ONE,
        "",
        "How long connections may go on after QUIT before they are closed.",
    )
    .differs("A reload closes no connection, so there is nothing to bound."),
    row(
        "error_log",
        MAIN.or(HTTP_LOCATION),
        SOME,
        "logs/error.log error",
        "Where messages go, and the least severe level that is logged. `stderr` is standard \
         error.",
    )
    .differs(
        "The first one of the main level holds everywhere; where there is none, the first one within `http`. `syslog:` and \
         `memory:` are not supported. Of requests only what failed at a server is logged, in nginx's words; such a line has \
         the upstream's address without the URI, and `request` and `host` only where an access log or the like has \
         `$request` and `$http_host` kept.",
    ),
    ignored("master_process", MAIN, FLAG, "There is one process, with threads."),
    ignored("load_module", MAIN, ONE, "What a module would bring is refused by the names of its directives."),
    ignored("timer_resolution", MAIN, ONE, "The clock is read once for each batch of events."),
    ignored("lock_file", MAIN, ONE, "Nothing is locked between processes."),
    ignored("debug_points", MAIN, ONE, "It is for debugging nginx."),
    ignored("pcre_jit", MAIN, FLAG, "Regular expressions are compiled another way."),
    ignored("worker_priority", MAIN, ONE, "The scheduling priority stays that of the process; use nice(1)."),
    ignored("worker_cpu_affinity", MAIN, SOME, "Threads are placed by the kernel; use taskset(1)."),
    ignored("worker_rlimit_core", MAIN, ONE, "The limit of core files stays that of the process."),
    ignored("working_directory", MAIN, ONE, "It is where nginx puts core files."),
    ignored("thread_pool", MAIN, TWO_OR_THREE, "No worker waits for a disk."),
    ignored("env", MAIN, ONE, "The environment is not used."),
    row(
        "worker_connections",
        EVENTS,
        ONE,
        "512",
        "Connections of one worker, those to upstream servers included.",
    )
    .differs(
        "Clients of all workers together are bounded, by this times `worker_processes`; beyond it \
         those idle for longest give way, but for who was busy within the last second, and then accepting pauses.",
    ),
    ignored("use", EVENTS, ONE, "It is epoll."),
    ignored("multi_accept", EVENTS, FLAG, "Each wake accepts what is there, within a budget."),
    ignored("accept_mutex", EVENTS, FLAG, "Each worker has a listening socket of its own."),
    ignored("accept_mutex_delay", EVENTS, ONE, "Each worker has a listening socket of its own."),
    ignored("epoll_events", EVENTS, ONE, "The size of a batch is fixed."),
    ignored("worker_aio_requests", EVENTS, ONE, "Files are not read asynchronously."),
    ignored("debug_connection", EVENTS, ONE, "Levels of the log hold for all connections."),
];
