//! A request that the proxy itself sends on within its site, for `error_page`, `try_files` or `index`
//! (`ngx_http_internal_redirect`, `ngx_http_named_location`).

use super::request::Guise;
use super::request_head::{Arrival, Fate};
use super::{Env, Exchange};
use crate::http::body::Cursor;
use crate::http::framing::{self, Length};
use crate::http::head::{self, Parsed};
use crate::http::target::Target;
use crate::http::{Refusal, rewrite, target, uri};

/// Where a request goes on.
#[derive(Debug)]
pub(super) enum Way {
    /// To this path, with its arguments.
    Path(Vec<u8>),
    /// To this path and the arguments behind it.
    Target(Vec<u8>),
    /// To the location of this name.
    Named(Vec<u8>),
    /// Nowhere else, but for this path from here on.
    Stay(Vec<u8>),
}

impl Way {
    /// To where a configuration says: `@name`, or else a path.
    pub(super) fn to(goal: Vec<u8>) -> Way {
        if goal.first() == Some(&b'@') { Way::Named(goal) } else { Way::Target(goal) }
    }
}

/// What goes on of a request.
#[derive(Debug)]
pub(super) struct Onward<'a> {
    /// Its head, as it came.
    pub(super) head: &'a [u8],
    /// Its target, as it is by now.
    pub(super) target: &'a [u8],
    /// How long its body is on the way.
    pub(super) length: Length,
    /// How often it has gone on without an error.
    pub(super) turns: u8,
}

impl Exchange {
    /// Sends a request on.
    pub(super) fn go_on_to(&mut self, way: &Way, request: &Onward<'_>, env: &mut Env) {
        let was_counted = self.place.passes_on();
        let fate = self.follow_on(way, request, env);
        if let Ok(Fate::Forwarded | Fate::Discarded) = fate {
            self.keep_judged(was_counted);
        }
        match fate {
            Ok(Fate::Forwarded) if self.redirects > 0 => self.forward_anew(env),
            Ok(Fate::Forwarded) => {
                self.want_server(env.now);
                self.advance_request_body(env);
                self.request.park(env);
            }
            Ok(Fate::Discarded) => {
                if self.redirects > 0 {
                    self.begin_anew(env);
                }
                self.discard_body(env);
            }
            Ok(Fate::Answered(status)) => self.answer(status, true, env),
            Ok(Fate::Refused(status)) => self.answer(status, false, env),
            Ok(Fate::Fetched) => {
                if let Some(next) = &mut self.fetch {
                    next.turns = request.turns;
                }
                self.pursue(env);
            }
            Err(refusal) => {
                self.closes_after(refusal.status);
                self.refuse(refusal, env);
            }
        }
    }

    /// The head that lies in `out` goes to a server, in place of the request that has failed.
    fn forward_anew(&mut self, env: &mut Env) {
        self.begin_anew(env);
        self.request.holds_new_head();
        self.want_server(env.now);
    }

    /// Servers are asked anew, in place of those for which the request has failed.
    fn begin_anew(&mut self, env: &mut Env) {
        if let Some(record) = &mut self.record {
            record.goes_on_elsewhere = true;
        }
        self.response.reset_behind_interim(env);
        self.starts_anew = true;
    }

    /// What has come of the body was judged at another place, which may not have kept it nor counted it.
    fn keep_judged(&mut self, was_counted: bool) {
        let Some(record) = self.record.as_mut().filter(|_| self.place.passes_on()) else { return };
        let bytes = self.request.judged();
        record.body.keep(bytes);
        if !was_counted {
            record.request_length += bytes.len() as u64;
        }
    }

    /// Finds the place that a way leads to, and does what that says.
    fn follow_on(&mut self, way: &Way, request: &Onward<'_>, env: &mut Env) -> Result<Fate, Refusal> {
        let (scratch, mut tools) = env.split();
        let Ok(Parsed::Complete(mut head)) = head::request(request.head, scratch) else {
            unreachable!("a head that was read before");
        };
        let asked = target::of(head.method, head.target, head.version, &head.fields)?;
        if request.length == Length::Empty {
            if framing::request(&head.fields, head.version) != Ok(Length::Empty) {
                self.request.guise = self.request.guise.max(Guise::Bodiless);
            }
            self.request.cursor = Cursor::default();
        }
        self.request.guise.dress(&mut head);
        self.request.method = head.method;

        let mut goal = Vec::new();
        let (path, arrival) = match way {
            // There a request goes as it is.
            Way::Named(_) => (request.target, Arrival::ByName),
            Way::Path(path) | Way::Stay(path) => {
                // What is said here is meant as it is: variables are decoded already.
                uri::escape(path, &mut goal);
                let set = self.scope.as_ref().and_then(|scope| scope.args.as_deref());
                append_args(set.or(uri::split(request.target).1), &mut goal);
                let stays = matches!(way, Way::Stay(_));
                (goal.as_slice(), if stays { Arrival::Stays } else { Arrival::ByPath })
            }
            Way::Target(target) => {
                let (path, args) = uri::split(target);
                uri::escape(path, &mut goal);
                append_args(args, &mut goal);
                (goal.as_slice(), Arrival::ByPath)
            }
        };
        match way {
            Way::Stay(_) => {}
            Way::Named(name) => {
                let named = self.routes.named(self.place.site, name);
                self.place =
                    named.ok_or(Refusal::new(500, "the configuration has no such location"))?.clone();
            }
            Way::Path(_) | Way::Target(_) => {
                tools.path.clear();
                uri::normalize(uri::split(path).0, tools.path)
                    .map_err(|_| Refusal::new(500, "the configuration leads to an invalid path"))?;
                self.place = self.routes.find_in(self.place.site, tools.path).clone();
            }
        }
        let target = Target { path, host: asked.host };
        let wishes = rewrite::wishes(&head);
        let message = self.message(&head, &target, request.length, &wishes).arriving(arrival);
        self.follow(&message, &mut tools)
    }
}

fn append_args(args: Option<&[u8]>, goal: &mut Vec<u8>) {
    if let Some(args) = args {
        goal.push(b'?');
        goal.extend_from_slice(args);
    }
}
