//! What becomes of a panic: one connection is lost, the others are served.
//!
//! A panic is a bug in the proxy. While one client is driven it is most likely this client's request that
//! met it, and what it left half done is most likely this client's: the client is reset, its upstream
//! connection closed and its server accounted for, and the worker goes on. Anything else (a panic while no
//! client is driven, or one more while that client is closed) means that the worker itself is not sound
//! any more. Then it ends, and the process with it, see [`process`](crate::process).

use std::any::Any;
use std::panic::resume_unwind;

use super::Worker;
use super::net::{ClientKey, Net, UpstreamKey};

impl<N: Net> Worker<N> {
    /// Takes a panic that came up while clients were driven: loses the client at work, or passes it on
    /// where there is none.
    pub(super) fn survive(&mut self, panic: Box<dyn Any + Send>) {
        let Some(key) = self.at_work.take() else { resume_unwind(panic) };
        let address = self.clients.get(key).and_then(|client| client.exchange.client());
        let address = address.map_or_else(|| "a client".into(), |address| address.to_string());
        let cause = cause(&*panic);
        log::error!("a bug in the proxy: the connection of {address} is lost to a panic: {cause}");
        self.lost += 1;
        self.close_client(key, true);
        self.close_orphans(key);
    }

    /// Closes upstream connections that were with this client but are not in its books.
    fn close_orphans(&mut self, key: ClientKey) {
        let of_client = self.upstreams.iter().filter(|(_, up)| up.client == Some(key));
        let orphans: Vec<UpstreamKey> = of_client.map(|(up, _)| up).collect();
        for up in orphans {
            self.close_upstream(up);
        }
    }
}

/// What a panic says.
pub(super) fn cause(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it says nothing")
}
