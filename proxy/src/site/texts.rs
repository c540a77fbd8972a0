//! The texts of a configuration, by when they are asked for, and so what has to be kept of a request and its response.

use std::sync::Arc;

use super::groups;
use crate::config::site::{Answer, Forwarding, Otherwise, PassBody, PassTarget, PassUri, RedirectFrom};
use crate::config::template::{Template, Variable};
use crate::config::{Action, Config, Location, Site};
use crate::ids::Ids;

/// What the places of a site have in common.
pub(super) struct Around<'c> {
    pub(super) config: &'c Config,
    pub(super) ids: &'c Ids,
    /// The site, as an index.
    pub(super) index: usize,
    /// Variables of a server's response that any place asks for: a request takes them along from one to another.
    pub(super) answers: Arc<[Variable]>,
    /// A place has the body of a request in a text of its own answer, or in one that is asked for later.
    tells_body: bool,
    /// A place writes requests to servers with their body in a variable.
    passes_body: bool,
}

impl<'c> Around<'c> {
    pub(super) fn new(config: &'c Config, ids: &'c Ids, index: usize) -> Around<'c> {
        let site = &config.sites[index];
        let mut locations = vec![&site.location];
        append_all(&site.locations, &mut locations);
        let answer = site.answer.iter().flat_map(|answer| &answer.text);
        let mut texts: Vec<&Template> = site.sets.iter().map(|set| &set.value).chain(answer).collect();
        for location in &locations {
            texts.extend(texts_here(location));
            texts.extend(late_texts(config, location));
        }
        let mut answers = Vec::new();
        for variable in texts.iter().flat_map(|text| text.variables()) {
            each(config, variable, &mut |variable| {
                if is_of_answer(variable) && !answers.contains(variable) {
                    answers.push(variable.clone());
                }
            });
        }
        let tells_body = texts.iter().flat_map(|text| text.variables()).any(|one| is_of_body(config, one));
        Around {
            config,
            ids,
            index,
            answers: answers.into(),
            tells_body,
            passes_body: locations.iter().any(|location| asks_for_body(config, location)),
        }
    }

    pub(super) fn site(&self) -> &'c Site {
        &self.config.sites[self.index]
    }

    /// What is to be kept of a server's response for a location: what it asks for itself, or what another one may that
    /// the request is sent on to.
    pub(super) fn kept_of_answer(&self, location: &Location) -> Arc<[Variable]> {
        let asks = |text: &Template| {
            let mut asks = false;
            for variable in text.variables() {
                each(self.config, variable, &mut |variable| asks |= is_of_answer(variable));
            }
            asks
        };
        let hands_on = location.rules.intercepts_errors && !location.rules.error_pages.is_empty();
        let asks_itself =
            || texts_here(location).into_iter().chain(late_texts(self.config, location)).any(asks);
        if hands_on || asks_itself() { self.answers.clone() } else { Arc::default() }
    }

    /// Whether bodies of requests to a location are kept, for texts that are asked for later: here, or where a request may be
    /// sent on to.
    pub(super) fn keeps_body(&self, location: &Location) -> bool {
        let asks = |text: &Template| text.variables().any(|variable| is_of_body(self.config, variable));
        let passes_on = matches!(location.action, Action::Proxy(_));
        let asks_itself = || late_texts(self.config, location).into_iter().any(asks);
        passes_on && (leads_on(location) && self.tells_body || asks_itself())
    }

    /// Whether bodies of requests to a location are waited for.
    pub(super) fn awaits_body(&self, location: &Location) -> bool {
        asks_for_body(self.config, location) || leads_on(location) && self.passes_body
    }
}

fn append_all<'c>(locations: &'c [Location], all: &mut Vec<&'c Location>) {
    for location in locations {
        all.push(location);
        append_all(&location.nested, all);
    }
}

/// Texts that are asked for when a request comes to a location, unless they are for a server.
fn texts_here(location: &Location) -> Vec<&Template> {
    let mut texts: Vec<&Template> = location.sets.iter().map(|set| &set.value).collect();
    if let Action::Answer(Answer { text: Some(text), .. }) = &location.action {
        texts.push(text);
    }
    if let Some(tries) = &location.try_files {
        texts.extend(tries.names.iter().map(|(name, _)| name));
        if let Otherwise::Place(place) = &tries.otherwise {
            texts.push(place);
        }
    }
    texts.push(&location.files.root);
    texts.extend(&location.files.index);
    texts
}

/// Texts that are asked for when the head of a request has gone: for its response, and for its lines in logs.
pub(super) fn late_texts<'c>(config: &'c Config, location: &'c Location) -> Vec<&'c Template> {
    let rules = &location.rules;
    let mut texts = Vec::new();
    for log in &rules.logs {
        texts.extend([&config.formats[log.format].line, &log.path]);
        texts.extend(&log.condition);
    }
    texts.extend(rules.delivery.added.iter().map(|added| &added.value));
    texts.extend(rules.error_pages.iter().map(|page| &page.target));
    for redirect in &rules.delivery.redirects {
        texts.push(&redirect.to);
        if let RedirectFrom::Text(from) = &redirect.from {
            texts.push(from);
        }
    }
    for sticky in groups(config, &location.action).filter_map(|group| group.sticky.as_ref()) {
        texts.extend(sticky.learn.iter().flat_map(|learn| &learn.create));
        texts.extend(sticky.cookie.iter().flat_map(|cookie| [&cookie.domain, &cookie.same_site]));
    }
    texts
}

/// Whether a request that this location passes on is written with its body in a variable.
fn asks_for_body(config: &Config, location: &Location) -> bool {
    let Action::Proxy(pass) = &location.action else { return false };
    let mut templates: Vec<&Template> = location.sets.iter().map(|set| &set.value).collect();
    if let Forwarding::Listed(listed) = &location.rules.forwarding {
        templates.extend(listed.fields.iter().map(|(_, value)| value));
        templates.extend(&listed.method);
        if let PassBody::Replaced(body) = &listed.body {
            templates.push(body);
        }
    }
    if let PassTarget::Variable(target) = &pass.target {
        templates.push(target);
    }
    if let PassUri::Whole(uri) = &pass.uri {
        templates.push(uri);
    }
    templates.into_iter().flat_map(Template::variables).any(|variable| is_of_body(config, variable))
}

/// Whether a request for this location may be sent on to another one.
fn leads_on(location: &Location) -> bool {
    location.try_files.is_some() || !location.rules.error_pages.is_empty() || location.action == Action::File
}

/// Calls `say` with a variable, or with those that a map depends on. No map depends on itself.
fn each<'c>(config: &'c Config, variable: &'c Variable, say: &mut impl FnMut(&'c Variable)) {
    match variable {
        Variable::Map(index) => {
            for inner in config.maps[*index].variables() {
                each(config, inner, say);
            }
        }
        variable => say(variable),
    }
}

fn is_of_body(config: &Config, variable: &Variable) -> bool {
    let mut is_of_body = false;
    each(config, variable, &mut |variable| is_of_body |= *variable == Variable::RequestBody);
    is_of_body
}

/// Whether it is of a server's response, and so is to be kept.
fn is_of_answer(variable: &Variable) -> bool {
    matches!(variable, Variable::UpstreamHttp(_) | Variable::UpstreamCookie(_))
}

/// Whether a map depends on what is known only after a request's head has gone.
pub(super) fn is_late(config: &Config, index: usize) -> bool {
    let mut is_late = false;
    for variable in config.maps[index].variables() {
        each(config, variable, &mut |variable| is_late |= !variable.is_of_head());
    }
    is_late
}
