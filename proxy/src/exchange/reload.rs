//! How an exchange comes to a new configuration: with its next request.
//!
//! The one in hand goes on by what held when its first byte came. So a connection that stays open over a
//! reload is never cut, and no request is treated half by one configuration and half by another.

use std::sync::Arc;

use super::{Env, Exchange};
use crate::site::Routes;

impl Exchange {
    /// A request begins, if it has not: from here on the newest configuration holds.
    #[inline]
    pub(super) fn catch_up(&mut self, env: &mut Env) {
        if !Arc::ptr_eq(&self.routes, &env.routes) && !self.is_retired {
            self.renew(env);
        }
    }

    #[cold]
    fn renew(&mut self, env: &mut Env) {
        self.routes = env.routes.clone();
        self.place = self.routes.default_place(self.listener).clone();
        if !self.routes.keeps_records() {
            self.record = None;
        }
        self.request.move_input(env);
    }

    /// `next` is about to take the place of the configuration in `env`. Where it does not have the listener that this
    /// client came through, the connection ends with the request in hand, or with the next one, and the last
    /// configuration that had it goes on to hold.
    pub fn retire(&mut self, next: &Routes, env: &mut Env) {
        if next.has_listener(self.listener) {
            return;
        }
        // An idle client may still go by a configuration before that one, whose groups may be gone.
        if self.is_idle() {
            self.catch_up(env);
        }
        self.is_retired = true;
    }

    /// Whether the listener that this client came through is gone.
    pub fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// Whether a request goes by an older configuration, or may still do so.
    pub fn is_behind(&self, env: &Env) -> bool {
        !Arc::ptr_eq(&self.routes, &env.routes) && (self.is_retired || !self.is_idle())
    }

    /// Whether no other request is to be taken after this one.
    #[inline]
    pub(super) fn is_last(&self, env: &Env) -> bool {
        env.draining | self.is_retired
    }
}
