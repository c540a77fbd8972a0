//! What comes before the first request where a listener is told who the client is (`listen … proxy_protocol`).

use super::request::Phase;
use super::{Ending, Env, Exchange};
use crate::http::head::Parsed;
use crate::http::proxy_protocol;

impl Exchange {
    /// Reads the header, if it is whole. A bad one ends the connection without a word (`ngx_proxy_protocol_read`).
    pub(super) fn advance_preface(&mut self, env: &mut Env) {
        let Some(mut input) = self.request.input.take() else { return };
        match proxy_protocol::header(input.filled()) {
            Ok(Parsed::Partial) => self.request.input = Some(input),
            Ok(Parsed::Complete((len, ends))) => {
                input.consume(len);
                self.request.input = Some(input);
                self.request.park(env);
                self.introduced = ends.map(Box::new);
                self.request.phase = Phase::Idle;
                self.advance_request(env);
            }
            Err(bad) => {
                self.complain(bad, input.filled());
                env.buffers.put(input);
                self.ending = Ending::Close;
            }
        }
    }

    /// In nginx's words, so that whoever looks for them finds them.
    fn complain(&self, bad: proxy_protocol::Bad, bytes: &[u8]) {
        let shown = match bad {
            proxy_protocol::Bad::Broken => {
                let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
                format!(": \"{}\"", line.escape_ascii())
            }
            proxy_protocol::Bad::Version(_) | proxy_protocol::Bad::TooLarge => String::new(),
        };
        let client = self.introduction.address();
        let server = self.routes.address(self.listener).map(ToString::to_string).unwrap_or_default();
        log::error!("{bad}{shown} while reading PROXY protocol, client: {client}, server: {server}");
    }
}
