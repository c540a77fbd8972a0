//! Requests that go to none of the configured groups but to an address or a name that variables of `proxy_pass` give.
//!
//! Each has a group of its own, of the addresses that are known when it sets out: they are tried in turn, and what
//! they did is forgotten with the request, as in nginx (`ngx_http_upstream_create_round_robin_peer`). Connections to
//! them are not kept. Names are looked up by the resolver's thread; the request waits for it, and what is found is
//! kept for as long as it holds.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use parking_lot::Mutex;

use super::Worker;
use super::generation::SharedGroup;
use super::net::{ClientKey, Net};
use super::resolver::{LookedUp, Mailbox, Question};
use super::upstreams::choose_from;
use crate::config::{Host, Server, Upstream};
use crate::exchange::Failure;
use crate::ids::GroupId;
use crate::time::{Duration, Time};
use crate::upstream::Group;

/// The most names whose addresses are kept.
const NAMES_MAX: usize = 1024;

/// What one worker knows of names.
pub(super) struct Names {
    known: HashMap<Question, Known>,
    /// Those that are being looked up, and who waits for them.
    awaited: HashMap<Question, Vec<ClientKey>>,
    mailbox: Mailbox,
    answers: Receiver<LookedUp>,
    /// Which of several addresses is the first for the next request.
    turn: usize,
}

struct Known {
    addresses: Arc<[IpAddr]>,
    until: Time,
}

impl Names {
    pub(super) fn new(net: &impl Net) -> Names {
        let (sender, answers) = mpsc::channel();
        let mailbox = Mailbox::new(sender, net.waker());
        Names { known: HashMap::new(), awaited: HashMap::new(), mailbox, answers, turn: 0 }
    }

    fn find(&self, question: &Question, now: Time) -> Option<Arc<[IpAddr]>> {
        self.known.get(question).filter(|known| known.until > now).map(|known| known.addresses.clone())
    }

    fn keep(&mut self, question: Question, addresses: Arc<[IpAddr]>, valid: Duration, now: Time) {
        if self.known.len() >= NAMES_MAX {
            self.known.retain(|_, known| known.until > now);
        }
        if self.known.len() >= NAMES_MAX {
            self.known.clear();
        }
        self.known.insert(question, Known { addresses, until: now + valid });
    }

    /// The addresses in their order, beginning with another one each time.
    fn in_turn(&mut self, addresses: &[IpAddr], port: u16) -> impl Iterator<Item = Host> {
        self.turn = self.turn.wrapping_add(1);
        let (after, before) = addresses.split_at(self.turn % addresses.len());
        let all = before.iter().chain(after);
        all.map(move |ip| Host::Literal(SocketAddr::new(*ip, port)))
    }
}

impl<N: Net> Worker<N> {
    /// Goes on with a request that goes to none of the groups: connects to a server of its own, or waits until the
    /// name of it has been looked up.
    pub(super) fn set_out(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some((name, host)) = client.exchange.destination() else { return };
        if !client.has_chosen || client.exchange.starts_anew() {
            let own = match host {
                Host::Literal(_) | Host::Unix(_) => own_group(name, [host.clone()]),
                Host::Name(host, port) => {
                    let Some(resolver) = client.exchange.place().rules.resolver.clone() else {
                        let why = format!("no resolver defined to resolve {host}");
                        return self.unresolved(key, &why);
                    };
                    let host = host.to_ascii_lowercase().into();
                    let question = Question { resolver: Some(resolver), host, is_service: false };
                    let Some(addresses) = self.names.find(&question, self.env.now) else {
                        return self.look_up(key, question);
                    };
                    own_group(name, self.names.in_turn(&addresses, *port))
                }
            };
            client.own = Some(own);
        }
        self.choose_own(key);
    }

    /// Chooses one of the request's own servers and connects to it.
    fn choose_own(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(own) = client.own.clone() else { return };
        // The id of no group stands for its own. It is locked for the choice alone.
        let chosen = choose_from(client, &mut own.lock(), GroupId::default(), self.env.now);
        match chosen {
            Some(chosen) => self.connect(key, chosen),
            None => client.exchange.unavailable(&mut self.env),
        }
    }

    fn look_up(&mut self, key: ClientKey, question: Question) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.exchange.resolving();
        let waiting = self.names.awaited.entry(question.clone()).or_default();
        // Those who have given up are not to pile up.
        if waiting.len() > 2 * self.clients.len() {
            waiting.retain(|key| self.clients.contains_key(*key));
        }
        waiting.push(key);
        if waiting.len() == 1 {
            self.shared.ask(question, self.names.mailbox.clone());
        }
    }

    /// Takes in what has been looked up, and goes on with the requests that wait for it.
    pub(super) fn take_answers(&mut self) {
        while let Ok(LookedUp { question, found }) = self.names.answers.try_recv() {
            let found = found.map(|answer| (answer.ips().collect::<Arc<[IpAddr]>>(), answer.valid));
            for key in self.names.awaited.remove(&question).unwrap_or_default() {
                self.at_work = Some(key);
                if self.is_awaited_by(key, &question) {
                    match &found {
                        Ok((addresses, _)) => self.arrive(key, addresses),
                        Err(why) => {
                            self.unresolved(key, &format!("{} could not be resolved ({why})", question.host));
                        }
                    }
                    self.drive_later(key);
                }
            }
            self.at_work = None;
            if let Ok((addresses, Some(valid))) = found {
                self.names.keep(question, addresses, valid, self.env.now);
            }
        }
    }

    /// Whether the client still waits for this. It may have gone, or wait for another name by now.
    fn is_awaited_by(&self, key: ClientKey, question: &Question) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let is_same =
            |host: &Host| matches!(host, Host::Name(host, _) if host.eq_ignore_ascii_case(&question.host));
        client.exchange.is_resolving()
            && client.exchange.place().rules.resolver == question.resolver
            && client.exchange.destination().is_some_and(|(_, host)| is_same(host))
    }

    /// The addresses that a client has waited for are there.
    fn arrive(&mut self, key: ClientKey, addresses: &[IpAddr]) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some((name, Host::Name(_, port))) = client.exchange.destination() {
            client.own = Some(own_group(name, self.names.in_turn(addresses, *port)));
            self.choose_own(key);
        }
    }

    /// The name of a client's server has no address: says why, and fails the request.
    pub(super) fn unresolved(&mut self, key: ClientKey, why: &str) {
        if self.unresolved.is_due(self.env.now) {
            log::error!("{why}");
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.exchange.connect_failed(Failure::Unresolved);
        }
    }
}

/// A group of these servers, with nginx's defaults.
fn own_group(name: &str, hosts: impl IntoIterator<Item = Host>) -> SharedGroup {
    let servers = hosts.into_iter().map(|host| Server::new(name, host)).collect();
    Arc::new(Mutex::new(Group::new(&Upstream::new(name, servers))))
}
