//! The automaton alone: every way to cut its input, and what it asks for.

use super::*;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn context(change: impl FnOnce(&mut crate::Options)) -> Context {
    let mut options = crate::Options::new(vec!["app1=127.0.0.1:0".parse().unwrap()]);
    change(&mut options);
    let counter = if options.plain { Counter::Off } else { Counter::embedded() };
    let shared = Arc::new(Shared { sites: Site::all(&options), counter });
    Context { now: Instant::now(), date: *DATE, shared }
}

/// Presents `pieces` as a socket would; the output, and the last step.
fn talk(pieces: &[&[u8]], cx: &Context) -> (String, Step) {
    let mut connection = Connection::new(0, cx.now);
    let (mut input, mut out, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = Step::Receive;
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let (used, step) = connection.advance(&input, &mut out, cx);
            input.drain(..used);
            sent.append(&mut out);
            last = step;
            if step != Step::Send {
                break;
            }
        }
    }
    (String::from_utf8(sent).unwrap(), last)
}

fn hello(number: u32) -> String {
    let body = format!("Hello from app1! Hits: {number}\n");
    format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Backend: app1\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_greeting_is_this_and_no_more() {
    let (out, step) = talk(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], &context(|_| {}));
    assert_eq!((out, step), (hello(1), Step::Receive));
}

#[test]
fn requests_may_be_cut_anywhere() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
        GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: x\r\n\r\n\
        HEAD /chunked/9 HTTP/1.1\r\nHost: a\r\n\r\n\
        GET /nowhere HTTP/1.0\r\n\r\n";
    let whole = talk(&[text], &context(|_| {}));
    assert_eq!(whole.1, Step::Close);
    assert!(whole.0.starts_with(&hello(1)) && whole.0.contains(&hello(2)), "{}", whole.0);
    assert_eq!(whole.0.matches("HTTP/1.1 ").count(), 5, "{}", whole.0);
    assert!(whole.0.ends_with("Connection: close\r\n\r\n404 Not Found: no such page\n"), "{}", whole.0);
    for cut in 0..text.len() {
        assert_eq!(talk(&[&text[..cut], &text[cut..]], &context(|_| {})), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(talk(&bytes, &context(|_| {})), whole, "byte by byte");
}

#[test]
fn output_is_bounded_however_much_is_asked_for() {
    let cx = context(|_| {});
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5000),
        "GET /bytes/9999999 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
    ] {
        let mut connection = Connection::new(0, cx.now);
        let mut out = Vec::new();
        let (used, step) = connection.advance(request.as_bytes(), &mut out, &cx);
        assert_eq!(step, Step::Send);
        assert!(out.len() < OUT_FULL + 1024, "{} bytes", out.len());
        assert!(used > 0);
    }
}

#[test]
fn a_delay_asks_once_and_answers_after_it() {
    let mut cx = context(|options| options.delay = Duration::from_millis(50));
    let start = cx.now;
    let due = start + Duration::from_millis(50);
    let mut connection = Connection::new(0, start);
    let mut out = Vec::new();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(connection.advance(request, &mut out, &cx), (request.len(), Step::Wait(due)));
    cx.now = due - Duration::from_nanos(1);
    assert_eq!(connection.advance(b"", &mut out, &cx), (0, Step::Pause));
    assert!(out.is_empty());
    cx.now = due;
    assert_eq!(connection.advance(b"", &mut out, &cx), (0, Step::Receive));
    assert_eq!(String::from_utf8(out).unwrap(), hello(1));
}

#[test]
fn every_wait_has_a_deadline() {
    let cx = context(|_| {});
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234";
    let after = |text: &str| {
        let mut connection = Connection::new(0, cx.now);
        connection.advance(text.as_bytes(), &mut Vec::new(), &cx);
        connection.deadline - cx.now
    };
    assert_eq!(after("GET /"), HEAD);
    assert_eq!(after(request), PROGRESS);
    assert_eq!(after("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"), IDLE);
    assert_eq!(after("GET /delay/1000 HTTP/1.1\r\nHost: a\r\n\r\n"), Duration::from_secs(1) + PROGRESS);
    // More of the same head does not buy more time.
    let mut connection = Connection::new(0, cx.now);
    connection.advance(b"GET /", &mut Vec::new(), &cx);
    let deadline = connection.deadline;
    let later = Context { now: cx.now + Duration::from_secs(30), date: cx.date, shared: cx.shared.clone() };
    connection.advance(b"GET / HT", &mut Vec::new(), &later);
    assert_eq!(connection.deadline, deadline);
}

#[test]
fn failures_on_purpose_take_no_hit() {
    let cx = context(|options| options.fail_rate = 0.5);
    let (out, _) = talk(&["GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4).as_bytes()], &cx);
    assert_eq!(out.matches("HTTP/1.1 500 ").count(), 2);
    assert!(out.contains("Hits: 1\n") && out.contains("Hits: 2\n"));
}

#[test]
fn plain_greets_without_a_counter() {
    let (out, _) = talk(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], &context(|options| options.plain = true));
    assert!(out.ends_with("Content-Length: 17\r\n\r\nHello from app1!\n"), "{out}");
}
