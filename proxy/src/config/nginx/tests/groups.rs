//! What stands in `upstream`, beside its servers and its method: clients that keep their server, requests that wait.

use super::*;
use crate::config::{Cookie, Expires, Learn};

#[test]
fn clients_keep_their_server() {
    let config = http(
        "upstream a { server a route=x1; server b;
             sticky cookie id expires=1h domain=$host httponly secure samesite=Lax path=/x; }
         upstream b { server a; sticky cookie id expires=max; }
         upstream c { sticky route $Arg_a $cookie_b; server a; }
         server {}",
    );
    let [a, b, c] = &config.upstreams[..] else { panic!("{:?}", config.upstreams) };
    assert_eq!([&a.servers[0].route, &a.servers[1].route], ["x1", ""]);
    let lookup = |variable| Template::default().with(Part::Variable(variable));
    let sticky = a.sticky.as_ref().expect("sticky");
    assert_eq!(sticky.lookup, [lookup(Variable::Cookie("id".into()))]);
    let cookie = Cookie {
        name: "id".to_owned(),
        expires: Some(Expires::After(Duration::from_secs(3600))),
        domain: lookup(Variable::Host),
        is_http_only: true,
        is_secure: true,
        same_site: Template::text("Lax"),
        path: "/x".to_owned(),
    };
    assert_eq!(sticky.cookie.as_ref(), Some(&cookie));
    let cookie = b.sticky.as_ref().and_then(|sticky| sticky.cookie.as_ref()).expect("a cookie");
    assert_eq!((cookie.expires, cookie.is_secure, cookie.path.as_str()), (Some(Expires::Never), false, ""));
    let sticky = c.sticky.as_ref().expect("sticky");
    assert_eq!(sticky.lookup, [lookup(Variable::Arg("a".into())), lookup(Variable::Cookie("b".into()))]);
    assert_eq!((&sticky.cookie, &sticky.learn), (&None, &None));
    let config = http(
        "upstream a { server a; sticky learn create=$upstream_cookie_a lookup=$cookie_a zone=z:1m timeout=1h header; }
         upstream b { server a; sticky learn lookup=$cookie_a create=$upstream_http_b create=$arg_a zone=y:32k; }
         server {}",
    );
    let sticky = config.upstreams[0].sticky.as_ref().expect("sticky");
    assert_eq!(sticky.lookup, [lookup(Variable::Cookie("a".into()))]);
    let learn = Learn {
        create: vec![lookup(Variable::UpstreamCookie("a".into()))],
        sessions_max: 8192,
        timeout: Duration::from_secs(3600),
        at_header: true,
    };
    assert_eq!((&sticky.cookie, &sticky.learn), (&None, &Some(learn)));
    let learn =
        config.upstreams[1].sticky.as_ref().and_then(|sticky| sticky.learn.as_ref()).expect("it learns");
    assert_eq!(
        (learn.create.len(), learn.sessions_max, learn.timeout.as_secs(), learn.at_header),
        (2, 256, 600, false)
    );
}

#[test]
fn requests_may_wait() {
    for (words, expected) in [("queue 7;", (7, 60)), ("queue 1 timeout=5s;", (1, 5))] {
        let config = http(&format!("upstream u {{ server a; {words} }} server {{}}"));
        let queue = config.upstreams[0].queue.expect("a queue");
        assert_eq!((queue.requests_max, queue.timeout.as_secs()), expected);
    }
}

#[test]
fn what_is_wrong_with_sticky_and_routes_is_said_in_nginx_s_words() {
    for (words, problem) in [
        ("sticky foo bar;", "unknown parameter \"foo\""),
        ("sticky cookie;", "invalid number of arguments in \"sticky\" directive"),
        ("sticky cookie \"\";", "\"sticky\" directive empty cookie name"),
        ("sticky cookie a foo;", "unknown parameter \"foo\""),
        ("sticky cookie a httponly=1;", "unknown parameter \"httponly=1\""),
        ("sticky cookie a path=;", "\"sticky\" directive no value for \"path\""),
        ("sticky cookie a domain=;", "\"sticky\" directive no value for \"domain\""),
        ("sticky cookie a secure secure;", "\"sticky\" directive parameter \"secure\" is duplicate"),
        ("sticky cookie a path=/ path=/;", "\"sticky\" directive parameter \"path\" is duplicate"),
        ("sticky cookie a expires=x;", "\"sticky\" directive invalid \"expires\" parameter value"),
        ("sticky cookie a samesite=x;", "\"sticky\" directive invalid \"samesite\" parameter value"),
        ("sticky cookie a; sticky cookie a;", "\"sticky\" directive is duplicate"),
        ("sticky route a;", "invalid variable name \"a\""),
        ("sticky route $nothing;", "unknown \"nothing\" variable"),
        ("sticky learn a;", "unknown parameter \"a\""),
        ("sticky learn create=a;", "\"sticky\" directive missing variable in the \"create\" parameter"),
        ("sticky learn zone=a;", "\"sticky\" directive zone size is not specified"),
        ("sticky learn zone=:1m;", "\"sticky\" directive zone name is not specified"),
        ("sticky learn zone=a:b;", "\"sticky\" directive invalid zone size"),
        ("sticky learn zone=a:1k;", "\"sticky\" directive zone is too small"),
        ("sticky learn zone=a:1m zone=a:1m;", "\"sticky\" directive duplicate zone"),
        ("sticky learn timeout=0;", "\"sticky\" directive invalid timeout"),
        ("sticky learn create=$uri;", "\"sticky\" directive \"lookup\" parameter is not specified"),
        ("sticky learn lookup=$uri;", "\"sticky\" directive \"create\" parameter is not specified"),
        ("sticky learn create=$uri lookup=$uri;", "\"sticky\" directive \"zone\" parameter is not specified"),
        ("server b route=;", "route is empty"),
        ("server b route=123456789012345678901234567890123;", "route is longer than 32"),
        ("queue 0;", "\"queue\" directive invalid value"),
        ("queue a;", "\"queue\" directive invalid value"),
        ("queue 1 foo=1;", "invalid parameter \"foo=1\""),
        ("queue 1 timeout=x;", "invalid parameter \"timeout=x\""),
        ("queue 1; queue 1;", "\"queue\" directive is duplicate"),
        ("least_time foo;", "invalid value \"foo\""),
        ("least_time header foo;", "invalid parameter \"foo\""),
        ("least_time header; least_time header;", "\"least_time\" directive is duplicate"),
    ] {
        let file = format!("events {{}} http {{ upstream u {{ server a; {words} }} server {{}} }}");
        let error = error(&[("/etc/n/nginx.conf", &file)]);
        assert!(error.starts_with(problem), "{words}: {error}");
    }
}
