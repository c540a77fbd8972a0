//! Room for new clients where connections or descriptors run out: those that are idle for longest give way, as in nginx
//! (`ngx_drain_connections`).
//!
//! No list of idle clients is kept, which each request would have to pay for. They are looked for when there is no room,
//! all at once, and not again before they are used up and a pause is over.

use std::io::Error;

use super::local::{is_local, remedy};
use super::net::{ClientKey, Net};
use super::{ACCEPT_PAUSE, Worker};
use crate::time::{Duration, Time};

/// A client that was busy so lately may be just sending its next request, which closing would lose: it stays. nginx
/// closes it, too.
const IDLE_MIN: Duration = Duration::from_secs(1);

/// Clients that may give way.
#[derive(Debug, Default)]
pub(super) struct Spare {
    /// Since when they had been idle when it was looked, the longest last.
    clients: Vec<(Time, ClientKey)>,
    /// When to look again.
    look_at: Time,
}

impl<N: Net> Worker<N> {
    /// Counts a client in for which an idle one gives way.
    #[cold]
    pub(super) fn enter_for_another(&mut self, most: usize) -> bool {
        let gave_way = self.give_up_client();
        if !gave_way {
            self.shared.want_room(self.number);
        } else if self.accept_failed.is_due(self.env.now) {
            log::warn!("whoever is idle for longest gives way: {}", self.bound_reached());
        }
        gave_way && self.shared.enter(most)
    }

    /// `20 are open (--max-connections)`.
    pub(super) fn bound_reached(&self) -> String {
        let process = &self.generation.config.process;
        let of_all = if process.terms.is_per_worker { " of all workers" } else { "" };
        format!("{} are open ({}{of_all})", process.max_connections, process.terms.connections)
    }

    /// Says why no client could be taken in.
    pub(super) fn say_accept_failed(&self, listener: usize, error: &Error) {
        let config = &self.generation.config;
        if is_local(error) {
            let remedy = remedy(error, &config.process);
            return log::error!("accepting pauses until a connection ends: {error}{remedy}");
        }
        let mut listeners = self.generation.ids.listeners.iter().zip(&config.listeners);
        let address = listeners.find(|(number, _)| **number == listener).map(|(_, found)| &found.address);
        let address = address.map_or_else(String::new, |address| format!(" at {address}"));
        log::error!("accepting{address} pauses for {} ms: {error}", ACCEPT_PAUSE.as_millis());
    }

    /// Closes the client that has been idle for longest. Says whether there was one.
    #[cold]
    pub(super) fn give_up_client(&mut self) -> bool {
        if self.spare.clients.is_empty() {
            self.look_for_spare();
        }
        while let Some((since, key)) = self.spare.clients.pop() {
            let Some(client) = self.clients.get_mut(key) else { continue };
            // It may have come back since, or be about to: no event has told of it yet.
            if client.exchange.idle_since() == Some(since) && !self.net.has_input(&mut client.socket) {
                self.close_client(key, false);
                return true;
            }
        }
        false
    }

    fn look_for_spare(&mut self) {
        let now = self.env.now;
        if self.spare.look_at > now {
            return;
        }
        self.spare.look_at = now + ACCEPT_PAUSE;
        let since =
            self.clients.iter().filter_map(|(key, client)| Some((client.exchange.idle_since()?, key)));
        self.spare.clients.extend(since.filter(|(since, _)| now.since(*since) >= IDLE_MIN));
        self.spare.clients.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Another worker has clients waiting and none to spare: one of this worker's gives way.
    pub(super) fn make_room(&mut self) {
        let most = self.generation.config.process.max_connections;
        if self.shared.wants_room() && self.shared.connections() >= most && self.give_up_client() {
            self.shared.has_room();
        }
    }
}
