//! How requests go on to origins: as the command line has it, or as an `nginx.conf` lists it.

use proxy::config::site::{Forwarding, Listed, PassBody};
use proxy::config::template::{Part, Template, Variable};

use super::chance::Chance;
use super::ledger::{Ask, Fate};

/// What the configuration says of all requests. The default is the command line's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    is_listed: bool,
    /// `proxy_http_version 1.0`
    pub(crate) is_http10: bool,
    /// `proxy_method`
    method: Option<&'static str>,
    /// `proxy_set_header Expect ""`
    drops_expect: bool,
    /// `proxy_pass_request_headers off`
    pub(crate) drops_fields: bool,
    /// `proxy_set_header Connection close`
    closes: bool,
}

impl Way {
    pub(crate) fn draw(chance: &mut Chance) -> Way {
        if chance.yes(0.6) {
            return Way::default();
        }
        Way {
            is_listed: true,
            is_http10: chance.yes(0.4),
            method: chance.yes(0.4).then(|| chance.of(&["GET", "POST", "POST", "PUT", "HEAD"])),
            drops_expect: chance.yes(0.4),
            drops_fields: chance.yes(0.15),
            closes: chance.yes(0.2),
        }
    }

    /// The same for the proxy.
    pub(crate) fn forwarding(self) -> Forwarding {
        if !self.is_listed {
            return Forwarding::Standard;
        }
        let of = |variable| Template::default().with(Part::Variable(variable));
        let mut fields = vec![
            ("Host".to_owned(), of(Variable::Http("host".into()))),
            ("X-Forwarded-For".to_owned(), of(Variable::ProxyAddXForwardedFor)),
        ];
        if self.drops_expect {
            fields.push(("Expect".to_owned(), Template::default()));
        }
        if self.closes {
            fields.push(("Connection".to_owned(), Template::text("close")));
        }
        Forwarding::Listed(Listed {
            fields,
            drops_fields: self.drops_fields,
            body: PassBody::Passed,
            method: self.method.map(Template::text),
            is_http10: self.is_http10,
            response_head_max: 16384,
        })
    }

    /// Enters what of a request is to reach an origin.
    pub(crate) fn pass(self, ask: &mut Ask) {
        // Whether a response has a body is not to change on the way.
        let method = self.method.filter(|method| (*method == "HEAD") == (ask.method == "HEAD"));
        ask.sent = method.unwrap_or(ask.method);
        let passes_all = !self.is_http10 && !self.drops_fields;
        ask.expects_on = ask.expects && passes_all && !self.drops_expect;
        ask.upgrades = ask.upgrade && passes_all;
        if self.is_http10 && ask.chunked && ask.fate == Fate::Forward {
            ask.fate = Fate::Refuse(&[411]);
        }
    }

    /// Whether the origin is told that no other request follows.
    pub(crate) fn says_close(self, ask: &Ask) -> bool {
        (self.is_http10 || self.closes) && !ask.upgrades
    }
}
