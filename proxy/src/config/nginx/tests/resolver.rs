//! `resolver` and `resolver_timeout`.

use super::*;
use crate::config::Host;

#[test]
fn resolvers_are_taken_over_and_names_of_servers_have_theirs() {
    let config = http(
        "upstream u { server a resolve; server b; server 10.0.0.1 resolve; }
         upstream v { resolver [::1]; server a resolve; }
         resolver 127.0.0.1 ns:5353 valid=3s ipv6=off; resolver_timeout 2s;
         server { resolver_timeout 4s; location / { resolver 127.0.0.2 valid=0 status_zone=z; } }",
    );
    let of = |upstream: usize, line: usize| config.upstreams[upstream].servers[line].resolver.as_deref();
    let outer = of(0, 0).expect("it says resolve");
    let ns = |ip: &str| Host::Literal((ip.parse::<std::net::IpAddr>().expect("an address"), 53).into());
    assert_eq!(outer.servers, [ns("127.0.0.1"), Host::Name("ns".to_owned(), 5353)]);
    assert_eq!((outer.valid, outer.timeout), (Some(Duration::from_secs(3)), Duration::from_secs(2)));
    assert_eq!((outer.ipv4, outer.ipv6), (true, false));
    assert_eq!(of(0, 1), None, "it does not say it");
    let own = of(1, 0).expect("it says resolve");
    assert_eq!((&*own.servers, own.timeout), (&[ns("::1")][..], Duration::from_secs(2)));
    let inner = config.sites[0].locations[0].rules.resolver.as_deref().expect("there is one");
    assert_eq!((&*inner.servers, inner.timeout), (&[ns("127.0.0.2")][..], Duration::from_secs(4)));
    assert_eq!(inner.valid, None, "no time stands for that of answers");
}

#[test]
fn services() {
    let config = http(
        "resolver 127.0.0.1; upstream u { server app.test service=http resolve weight=2;
         server app.test resolve service=_web._udp; } server { location / { proxy_pass http://u; } }",
    );
    let services: Vec<_> =
        config.upstreams[0].servers.iter().map(|server| server.service.as_deref().unwrap_or("")).collect();
    assert_eq!(services, ["_http._tcp.app.test", "_web._udp.app.test"]);
    for (server, problem) in [
        ("a service= resolve", "service is empty"),
        ("a service=http", "service upstream \"a\" requires \"resolve\" parameter"),
        ("a:80 service=http resolve", "service upstream \"a:80\" may not have port"),
        ("10.0.0.1 service=http resolve", "service upstream \"10.0.0.1\" requires domain name"),
        ("unix:/s service=http resolve", "service upstream \"unix:/s\" requires domain name"),
        ("a service=http resolve", "no resolver defined to resolve names at run time in upstream \"u\""),
    ] {
        let text = format!("events {{}} http {{ upstream u {{ server {server}; }} server {{}} }}");
        assert_eq!(error(&[("/etc/n/nginx.conf", &text)]), format!("{problem} in /etc/n/nginx.conf:1"));
    }
}

/// The version of nginx that the suites run with does not know all of these yet.
#[test]
fn resolvers_that_are_wrong() {
    for (words, problem) in [
        ("127.0.0.1 ipv4=x", "invalid parameter: ipv4=x"),
        ("127.0.0.1 ipv4=off ipv6=off", "\"ipv4\" and \"ipv6\" cannot both be \"off\""),
        ("ipv4=on", "no name servers defined"),
        ("unix:/s", "invalid host in resolver \"unix:/s\""),
        ("127.0.0.1:0", "invalid port in resolver \"127.0.0.1:0\""),
    ] {
        let text = format!("events {{}} http {{ resolver {words}; server {{}} }}");
        assert_eq!(error(&[("/etc/n/nginx.conf", &text)]), format!("{problem} in /etc/n/nginx.conf:1"));
    }
}
