//! What clients that keep to a peer call it (`sticky`).

use std::sync::Arc;

use crate::config::Server;
use crate::key::Digest;

/// The name of a peer for its clients: the `route` of its line, else the MD5 of its address in hexadecimal digits.
#[derive(Clone, Debug)]
pub(super) struct Session {
    text: Arc<str>,
    digest: Digest,
}

impl Session {
    pub(super) fn new(server: &Server, address: &str) -> Session {
        let text: Arc<str> = match server.route.as_str() {
            "" => format!("{:x}", md5::compute(address)).into(),
            route => route.into(),
        };
        Session { digest: Digest::new(text.as_bytes()), text }
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}
