//! `health_check` and `match`.

use super::*;
use crate::config::HealthCheck;
use crate::config::health::TestedPart;

/// The checks of the first group, in a location with these directives.
fn checks(text: &str) -> Vec<HealthCheck> {
    let matches = "match m { status 200 301-303; status ! 302; header a; header ! b; header c = d; header c != e; \
                   header f ~ ^g; header f !~ h; body ~ \"i j\"; body !~ k; }";
    let text = format!(
        "{matches} upstream u {{ server a; }} server {{ server_name *.x n; location / {{ {text} }} }}"
    );
    http(&text).upstreams.remove(0).checks
}

#[test]
fn a_check_has_nginx_s_defaults() {
    let check = checks("proxy_pass http://u; health_check;").remove(0);
    let timeouts = crate::config::Timeouts { connect: Duration::from_secs(60), ..Default::default() };
    assert_eq!(check, HealthCheck { timeouts, response_head_max: 4096, ..HealthCheck::new("/", "u") });
}

#[test]
fn parameters_and_the_location_say_the_rest() {
    let text = "proxy_pass http://u; proxy_http_version 1.0; proxy_connect_timeout 1s; proxy_send_timeout 2s; \
                proxy_read_timeout 3s; proxy_buffer_size 8k; proxy_set_header Host $host; \
                proxy_set_header A $proxy_host:$proxy_port/$hostname$uri; proxy_set_header B $remote_addr; \
                proxy_set_header Connection close; proxy_set_header C \"a\\nb\"; \
                health_check interval=2s jitter=300ms fails=3 passes=4 uri=/h?a port=81 keepalive_time=1m \
                type=http mandatory persistent;";
    let check = checks(text).remove(0);
    let spans =
        [check.interval, check.jitter, check.timeouts.connect, check.timeouts.send, check.timeouts.read];
    assert_eq!(spans, [2000, 300, 1000, 2000, 3000].map(Duration::from_millis));
    assert_eq!((check.fails, check.passes, check.port), (3, 4, Some(81)));
    assert_eq!((check.uri.as_str(), check.is_http10, check.response_head_max), ("/h?a", true, 8192));
    assert_eq!(check.keepalive, Some(Duration::from_secs(60)));
    assert!(check.mandatory && check.persistent);
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(check.fields, [field("Host", "n"), field("A", "u:80/Box"), field("C", "a b")]);
}

#[test]
fn settings_are_taken_over_and_checks_are_not() {
    let inner = "proxy_pass http://u; health_check uri=/inner;";
    let text = format!(
        "proxy_pass http://u; proxy_read_timeout 3s; proxy_set_header Host $http_host; health_check uri=/outer; \
         location /a/ {{ proxy_pass http://u; }} location /b/ {{ {inner} }}"
    );
    let checks = checks(&text);
    let uris: Vec<_> = checks.iter().map(|check| check.uri.as_str()).collect();
    assert_eq!(uris, ["/outer", "/inner"]);
    for check in &checks {
        assert_eq!(check.timeouts.read, Duration::from_secs(3));
        assert_eq!(check.fields, [("Host".to_owned(), "u".to_owned())], "there is no client who said one");
    }
}

#[test]
fn a_match_says_what_a_response_is_like() {
    let check = checks("proxy_pass http://u; health_check match=m;").remove(0);
    let words: Vec<_> = check.expected.iter().map(|test| (test.words.as_str(), test.is_not)).collect();
    assert_eq!(
        words,
        [
            ("status 200 301-303", false),
            ("status ! 302", true),
            ("header a", false),
            ("header ! b", true),
            ("header c = d", false),
            ("header c != e", true),
            ("header f ~ ^g", false),
            ("header f !~ h", true),
            ("body ~ i j", false),
            ("body !~ k", true),
        ]
    );
    assert_eq!(check.expected[0].part, TestedPart::Status(vec![200..=200, 301..=303]));
    assert_eq!(check.expected[4].part, TestedPart::FieldIs("c".to_owned(), "d".to_owned()));
    assert!(matches!(&check.expected[8].part, TestedPart::Body(pattern) if pattern.regex().is_match(b"i j")));
}

#[test]
fn what_is_wrong_is_said() {
    let invalid = |word: &str| format!("invalid parameter \"{word}\"");
    let check =
        |words: &str| format!("server {{ location / {{ proxy_pass http://u; health_check {words}; }} }}");
    let matches = |text: &str| format!("match m {{ {text}; }}");
    let unsupported = |what: &str| format!("the {what} is not supported by this proxy");
    let no_group = "\"health_check\" needs a \"proxy_pass\" to a group of servers in its location".to_owned();
    for (text, message) in [
        (check("interval=0"), invalid("interval=0")),
        (check("interval=x"), invalid("interval=x")),
        (check("fails=0"), invalid("fails=0")),
        (check("port=65536"), invalid("port=65536")),
        (check("uri=healthz"), invalid("uri=healthz")),
        (check("\"uri=/a b\""), invalid("uri=/a b")),
        (check("persistent"), invalid("persistent")),
        (check("foo"), invalid("foo")),
        (check("type=grpc"), unsupported("\"type=grpc\" parameter of the \"health_check\" directive")),
        (check("match=x"), "match \"x\" is not found".to_owned()),
        (
            "server { location / { proxy_pass http://u; health_check; health_check; } }".to_owned(),
            "\"health_check\" directive is duplicate".to_owned(),
        ),
        ("server { location / { health_check; } }".to_owned(), no_group.clone()),
        ("server { location / { proxy_pass http://$host; health_check; } }".to_owned(), no_group),
        ("server { health_check; }".to_owned(), "\"health_check\" directive is not allowed here".to_owned()),
        (matches("status"), "invalid number of arguments in \"status\" directive".to_owned()),
        (matches("status !"), "invalid status \"!\"".to_owned()),
        (matches("header a ="), "invalid number of arguments in \"header\" directive".to_owned()),
        (matches("status 20"), "invalid status \"20\"".to_owned()),
        (matches("status 300-200"), "invalid status \"300-200\"".to_owned()),
        (matches("header a is b"), invalid("is")),
        (matches("body ~* b"), invalid("~*")),
        (matches("body ~ ("), "pcre2_compile() failed: missing closing parenthesis in \"(\"".to_owned()),
        (matches("require $a"), unsupported("\"require\" directive")),
        (matches("foo bar"), "unknown directive \"foo\"".to_owned()),
        ("match m { status 200; } match m { status 200; }".to_owned(), "duplicate match \"m\"".to_owned()),
    ] {
        let text = format!("events {{}} http {{ upstream u {{ server a; }} {text} }}");
        assert_eq!(error(&[("/etc/n/nginx.conf", &text)]), format!("{message} in /etc/n/nginx.conf:1"));
    }
}
