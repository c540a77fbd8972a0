//! A request's body that goes nowhere, as another stands in its place or none does (`proxy_set_body`,
//! `proxy_pass_request_body off`): it is read to its end and judged like any other, and then the request goes to a server.
//! So a client that has sent all of its request gets the answer to it, and its next request is found.

use super::request::{Phase, TOO_LARGE_BODY, TOO_LARGE_TRAILERS};
use super::{Env, Exchange};
use crate::buffer::Buffer;
use crate::http::Refusal;
use crate::http::body::Then;
use crate::http::head::{self, Parsed};

impl Exchange {
    /// The body of the request in hand goes nowhere; its head lies in `out`.
    pub(super) fn discard_body(&mut self, env: &mut Env) {
        self.request.drop_judged();
        if self.request.phase != Phase::Whole {
            self.request.phase = Phase::Discard;
        }
        self.advance_discard(env);
    }

    /// Reads more of it.
    pub(super) fn advance_discard(&mut self, env: &mut Env) {
        match self.discard(env) {
            Ok(false) => self.request.park(env),
            Ok(true) => {
                self.request.phase = Phase::Whole;
                self.request.park(env);
                self.want_server(env.now);
            }
            Err(refusal) => self.refuse(refusal, env),
        }
    }

    /// Says whether the end has come.
    fn discard(&mut self, env: &mut Env) -> Result<bool, Refusal> {
        loop {
            let bytes = self.request.input.as_ref().map_or(&[][..], Buffer::filled);
            let scan = self.request.cursor.scan(bytes).map_err(|bad| Refusal::bad(bad.0))?;
            let len = scan.pass + scan.skip;
            if let Some(record) = &mut self.record {
                record.body_came(&bytes[..len]);
            }
            self.request.drop_front(len);
            if self.request.count_body(scan.data) > self.place.rules.max_body_size {
                return Err(TOO_LARGE_BODY);
            }
            match scan.then {
                Then::End => return Ok(true),
                Then::More if len == 0 => return Ok(false),
                Then::More => {}
                Then::Trailers => return self.discard_trailers(env),
            }
        }
    }

    fn discard_trailers(&mut self, env: &mut Env) -> Result<bool, Refusal> {
        let bytes = self.request.input.as_ref().map_or(&[][..], Buffer::filled);
        match head::trailers(self.place.bounded(bytes), &mut env.scratch) {
            Ok(Parsed::Partial) if bytes.len() >= self.place.client.max_header_size => {
                Err(TOO_LARGE_TRAILERS)
            }
            Ok(Parsed::Partial) => Ok(false),
            Ok(Parsed::Complete((_, len))) => {
                if let Some(record) = &mut self.record {
                    record.request_length += len as u64;
                }
                self.request.drop_front(len);
                self.request.cursor.trailers_done();
                Ok(true)
            }
            Err(why) => Err(Refusal::bad(why)),
        }
    }
}
