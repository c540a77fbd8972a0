//! Taking up a new configuration, and letting go of what the old one had.
//!
//! Requests that are under way go on by what they began with: their place has its own rules, and a group of
//! servers that nobody names any more stays until the last of them is through.

use std::sync::Arc;

use super::Worker;
use super::clients::Client;
use super::generation::Generation;
use super::net::Net;
use super::pool::Pool;
use super::upstreams::close_pooled;
use crate::site::Routes;
use crate::time::{Duration, Time};

/// How often it is looked whether the last request by an older configuration is through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long an idle client is left to send one more request, which may be on its way, before it is closed. Whoever sends
/// one every few seconds is told so with its response, and loses none.
const LAST_CALL: Duration = Duration::from_secs(3);

impl<N: Net> Worker<N> {
    /// Goes over to the newest configuration, if there is a newer one.
    pub(super) fn follow(&mut self) {
        let newest = self.shared.generation();
        if !Arc::ptr_eq(&newest, &self.generation) {
            self.adopt(newest.clone());
            newest.adopted();
        }
    }

    fn adopt(&mut self, newest: Arc<Generation>) {
        let last = std::mem::replace(&mut self.generation, newest.clone());
        let listeners = if newest.rests { &[][..] } else { &newest.ids.listeners };
        let gone = |number: &usize| !listeners.contains(number);
        // Connections that wait in a queue have been promised service.
        let acceptable = std::mem::take(&mut self.acceptable);
        self.accept_all(last.ids.listeners.iter().copied().filter(gone).collect());
        self.acceptable = acceptable.into_iter().filter(|number| !gone(number)).collect();
        self.net.listen(listeners);

        let config = &newest.config;
        if let Some(logs) = newest.take_logs() {
            self.logs.flush();
            self.logs = logs;
        }
        let routes = Arc::new(Routes::new(config, &newest.ids));
        // Before it is looked which groups are still in use: such clients may still come to theirs.
        self.retire_clients(&routes);
        self.env.routes = routes;
        self.env.buffers.grow(self.env.routes.buffer_size());
        self.renew_pools();
        self.renew_counts();
        self.renew_notes();
        self.begin_rest(newest.rests);
    }

    /// Has a pool for each group that is configured, and none but those in use for the others.
    pub(super) fn renew_pools(&mut self) {
        let generation = self.generation.clone();
        let named = &generation.ids.groups;
        for ((id, upstream), group) in named.iter().zip(&generation.config.upstreams).zip(&generation.groups)
        {
            if !self.pools.contains_key(*id) {
                self.pools.insert(*id, Pool::new(upstream, group.clone()));
            }
        }
        for (id, pool) in self.pools.iter_mut().filter(|(id, pool)| !pool.is_retired && !named.contains(id)) {
            log::debug!("the group {id:?} is gone");
            close_pooled(&mut self.net, &mut self.upstreams, &mut pool.retire());
        }
        self.sweep();
    }

    /// Drops the pools of groups that are gone, once no request goes by an older configuration.
    pub(super) fn sweep(&mut self) {
        let retired = self.pools.values().any(|pool| pool.is_retired);
        // Such a client may still come to any group of its configuration.
        let in_use = retired && self.clients.values().any(|client| client.exchange.is_behind(&self.env));
        if in_use {
            self.sweep_at = self.env.now + SWEEP_INTERVAL;
        } else {
            self.pools.retain(|_, pool| !pool.is_retired);
            self.sweep_at = Time::NEVER;
        }
    }

    /// Clients whose listener is not in `next` are to leave.
    fn retire_clients(&mut self, next: &Routes) {
        for client in self.clients.values_mut() {
            client.exchange.retire(next, &mut self.env);
        }
    }

    /// Lets go of the clients that are not to be served any more: those with a request after its response, which says
    /// so. Closing an idle one now could cost it the request that it is just sending, so it gets a last call.
    fn dismiss(&mut self) {
        let all = self.env.draining;
        let leaves = |client: &Client<_, _>| all || client.exchange.is_retired();
        let waits = self.clients.values().any(|client| leaves(client) && client.exchange.is_idle());
        self.last_call = if waits { self.env.now + LAST_CALL } else { Time::NEVER };
    }

    /// Whoever has said nothing all the while is closed.
    pub(super) fn close_late(&mut self) {
        let all = self.env.draining;
        self.close_idle_clients(|exchange| all || exchange.is_retired());
        self.last_call = Time::NEVER;
    }

    /// Serves those who are being served and nobody else, or everybody again.
    pub(super) fn begin_rest(&mut self, rests: bool) {
        self.env.draining = rests;
        let timeout = self.generation.config.process.shutdown_timeout.filter(|_| rests);
        self.drained_by = timeout.map_or(Time::NEVER, |timeout| self.env.now + timeout);
        if rests {
            self.close_idle_upstreams();
        }
        self.dismiss();
    }
}
