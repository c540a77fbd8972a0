//! Texts with variables, `$remote_addr - "${http_host}:$1"`, taken apart once, when the configuration is read.
//!
//! A text is first a [`Source`]: pieces with names in them, since a variable may be defined below its use. When all
//! definitions are known the names are looked up, and what is left is a [`Template`]: a row of parts that needs no look-up
//! and no parsing any more.
//!
//! The syntax is nginx's (`ngx_http_script_compile` in `src/http/ngx_http_script.c`): `$name`, `${name}`, and `$1` to
//! `$9` for what the last regular expression captured. Names are letters, digits and underscores, in either case.

use std::fmt;

/// A text with its variables known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    /// The parts in their order; no two texts stand side by side.
    pub parts: Box<[Part]>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// These bytes. Not empty.
    Text(Box<[u8]>),
    /// What the variable is worth at the time.
    Variable(Variable),
}

impl Template {
    /// A template without variables.
    pub fn text(text: &str) -> Template {
        match text {
            "" => Template::default(),
            text => Template { parts: Box::new([Part::Text(text.as_bytes().into())]) },
        }
    }

    /// The bytes, if there is no variable in it.
    pub fn as_text(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The variables in it, in their order, each as often as it is used.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        })
    }

    /// Appends another part.
    #[must_use]
    pub fn with(mut self, part: Part) -> Template {
        self.parts = self.parts.into_iter().chain([part]).collect();
        self
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

macro_rules! variables {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $(| $other:literal)*,)*) => {
        /// A variable: nginx's own ones, families of them, and those that the configuration defines.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Variable {
            $($(#[doc = $doc])* $variant,)*
            /// `$arg_NAME`: an argument of the request, its name as in the configuration.
            Arg(Box<str>),
            /// `$http_NAME`: a field of the request. Here and in the other families of fields the name is in lower
            /// case, with underscores for the hyphens of the field.
            Http(Box<str>),
            /// `$sent_http_NAME`: a field of the response.
            SentHttp(Box<str>),
            /// `$cookie_NAME`: a cookie of the request.
            Cookie(Box<str>),
            /// `$upstream_http_NAME`: a field of the upstream server's response.
            UpstreamHttp(Box<str>),
            /// `$upstream_cookie_NAME`: a cookie that the upstream server sets.
            UpstreamCookie(Box<str>),
            /// What a `map` gives: its index among them.
            Map(usize),
            /// What `set` or a named group of a regular expression gave it last: its index among such variables.
            Slot(usize),
            /// The same for one of a family of the request's: it keeps its own value until it is given another.
            SlotOr(usize, Box<Variable>),
            /// What the last regular expression captured, 1 to 9.
            Capture(u8),
        }

        impl Variable {
            /// The variable that nginx itself has under this name, which is in lower case.
            pub fn named(name: &str) -> Option<Variable> {
                match name {
                    $($name $(| $other)* => Some(Variable::$variant),)*
                    _ => Variable::of_family(name),
                }
            }

            /// The names of all that are no family, for the documentation.
            pub const NAMES: &'static [&'static str] = &[$($name, $($other,)*)*];
        }
    };
}

variables! {
    /// What only TLS, caches, limits and the like would give a value: a client over plain HTTP has none in nginx either.
    Absent "gzip_ratio" | "limit_conn_status" | "limit_req_status" | "request_body_file" | "ssl_alpn_protocol"
        | "ssl_cipher" | "ssl_ciphers" | "ssl_client_cert" | "ssl_client_escaped_cert" | "ssl_client_fingerprint"
        | "ssl_client_i_dn" | "ssl_client_i_dn_legacy" | "ssl_client_raw_cert" | "ssl_client_s_dn"
        | "ssl_client_s_dn_legacy" | "ssl_client_serial" | "ssl_client_v_end" | "ssl_client_v_remain"
        | "ssl_client_v_start" | "ssl_client_verify" | "ssl_curve" | "ssl_curves" | "ssl_early_data" | "ssl_protocol"
        | "ssl_server_name" | "ssl_session_id" | "ssl_session_reused" | "uid_got" | "uid_set"
        | "upstream_cache_status",
    /// The arguments, without `?`.
    Args "args" | "query_string",
    /// The client's address in four or sixteen bytes.
    BinaryRemoteAddr "binary_remote_addr",
    /// Bytes of the response's body sent.
    BodyBytesSent "body_bytes_sent",
    /// Bytes of the response sent.
    BytesSent "bytes_sent",
    /// The connection's serial number.
    Connection "connection",
    /// Requests over this connection so far.
    ConnectionRequests "connection_requests",
    /// Seconds since the connection began, with milliseconds.
    ConnectionTime "connection_time",
    /// Open client connections.
    ConnectionsActive "connections_active",
    /// Client connections that send a head.
    ConnectionsReading "connections_reading",
    /// Idle client connections.
    ConnectionsWaiting "connections_waiting",
    /// Client connections that get a response.
    ConnectionsWriting "connections_writing",
    /// The field `Content-Length` of the request.
    ContentLength "content_length",
    /// The field `Content-Type` of the request.
    ContentType "content_type",
    /// The value of `root` or `alias`.
    DocumentRoot "document_root",
    /// The host: of the request line, of the field `Host`, or the server's first name.
    Host "host",
    /// This machine's name.
    Hostname "hostname",
    /// `on` where the client speaks TLS, and what HTTP/2 or 3 is called where it speaks that; here always empty.
    Https "https" | "http2" | "http3",
    /// `?` where there are arguments.
    IsArgs "is_args",
    /// Seconds since 1970, with milliseconds.
    Msec "msec",
    /// The release of nginx whose language is spoken.
    NginxVersion "nginx_version",
    /// The process id.
    Pid "pid",
    /// `p` for a pipelined request, else `.`.
    Pipe "pipe",
    /// `X-Forwarded-For` with the client's address added.
    ProxyAddXForwardedFor "proxy_add_x_forwarded_for",
    /// Host and port of `proxy_pass`.
    ProxyHost "proxy_host",
    /// Port of `proxy_pass`.
    ProxyPort "proxy_port",
    /// The client's address of the PROXY protocol.
    ProxyProtocolAddr "proxy_protocol_addr",
    /// The client's port of the PROXY protocol.
    ProxyProtocolPort "proxy_protocol_port",
    /// The server's address of the PROXY protocol.
    ProxyProtocolServerAddr "proxy_protocol_server_addr",
    /// The server's port of the PROXY protocol.
    ProxyProtocolServerPort "proxy_protocol_server_port",
    /// The address of the connection, where `$remote_addr` is what a trusted proxy said.
    RealipRemoteAddr "realip_remote_addr",
    /// The port of the connection.
    RealipRemotePort "realip_remote_port",
    /// The client's address.
    RemoteAddr "remote_addr",
    /// The client's port.
    RemotePort "remote_port",
    /// The user of Basic authentication.
    RemoteUser "remote_user",
    /// The request line.
    Request "request",
    /// The request's body, where it is held: see `client_body_buffer_size`.
    RequestBody "request_body",
    /// `OK` for a request that came to its end.
    RequestCompletion "request_completion",
    /// The path of the file.
    RequestFilename "request_filename",
    /// Thirty-two random hexadecimal digits.
    RequestId "request_id",
    /// Bytes of the request.
    RequestLength "request_length",
    /// The method.
    RequestMethod "request_method",
    /// Seconds since the request's first byte, with milliseconds.
    RequestTime "request_time",
    /// Path and arguments as they came.
    RequestUri "request_uri",
    /// `http`.
    Scheme "scheme",
    /// The address that took the request.
    ServerAddr "server_addr",
    /// The first name of the server.
    ServerName "server_name",
    /// The port that took the request.
    ServerPort "server_port",
    /// `HTTP/1.0` or `HTTP/1.1`.
    ServerProtocol "server_protocol",
    /// The status of the response.
    Status "status",
    /// The time, as in `2026-11-24T08:47:44+00:00`.
    TimeIso8601 "time_iso8601",
    /// The time, as in `24/Nov/2026:08:47:44 +0000`.
    TimeLocal "time_local",
    /// The servers tried.
    UpstreamAddr "upstream_addr",
    /// Bytes received from them.
    UpstreamBytesReceived "upstream_bytes_received",
    /// Bytes sent to them.
    UpstreamBytesSent "upstream_bytes_sent",
    /// Seconds to connect to them.
    UpstreamConnectTime "upstream_connect_time",
    /// Seconds to the heads of their responses.
    UpstreamHeaderTime "upstream_header_time",
    /// Bytes of the bodies of their responses.
    UpstreamResponseLength "upstream_response_length",
    /// Seconds to the ends of their responses.
    UpstreamResponseTime "upstream_response_time",
    /// The servers tried, as their `server` lines call them: an addition to nginx's.
    UpstreamServer "upstream_server",
    /// The statuses of their responses.
    UpstreamStatus "upstream_status",
    /// The path, decoded and without `.`, `..` and repeated slashes.
    Uri "uri" | "document_uri",
}

impl Variable {
    /// Whether it has a value also where that is empty: a log does not show `-` for it then, as for one without
    /// (nginx: `not_found`).
    pub fn may_be_empty(&self) -> bool {
        use Variable as V;
        matches!(
            self,
            V::Https | V::IsArgs | V::Map(_) | V::RequestCompletion | V::ServerName | V::Slot(_) | V::Uri
        )
    }

    /// Whether its value follows from the request's head, so that it has to be kept for whoever asks later.
    pub fn is_of_head(&self) -> bool {
        use Variable as V;
        matches!(
            self,
            V::Args
                | V::ContentLength
                | V::ContentType
                | V::DocumentRoot
                | V::Host
                | V::IsArgs
                | V::ProxyAddXForwardedFor
                | V::RemoteUser
                | V::Request
                | V::RequestFilename
                | V::RequestMethod
                | V::RequestUri
                | V::ServerProtocol
                | V::Uri
                | V::Arg(_)
                | V::Http(_)
                | V::Cookie(_)
                | V::Map(_)
                | V::Slot(_)
                | V::SlotOr(..)
                | V::Capture(_)
        )
    }

    /// Whether it tells of all connections of the process.
    pub fn is_counter(&self) -> bool {
        use Variable as V;
        matches!(
            self,
            V::ConnectionsActive | V::ConnectionsReading | V::ConnectionsWaiting | V::ConnectionsWriting
        )
    }

    /// Whether it tells of the address that a client has connected to.
    pub fn is_server_address(&self) -> bool {
        matches!(self, Variable::ServerAddr)
    }

    /// The beginnings of the names of families.
    pub const FAMILIES: [&'static str; 6] =
        ["arg_", "cookie_", "http_", "sent_http_", "upstream_cookie_", "upstream_http_"];

    fn of_family(name: &str) -> Option<Variable> {
        let (prefix, rest) =
            Variable::FAMILIES.iter().find_map(|prefix| Some((*prefix, name.strip_prefix(prefix)?)))?;
        let rest = rest.into();
        Some(match prefix {
            "arg_" => Variable::Arg(rest),
            "cookie_" => Variable::Cookie(rest),
            "http_" => Variable::Http(rest),
            "sent_http_" => Variable::SentHttp(rest),
            "upstream_cookie_" => Variable::UpstreamCookie(rest),
            _ => Variable::UpstreamHttp(rest),
        })
    }
}

/// A text with names in it that were not looked up yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
    Capture(u8),
}

/// Why a text is no template, in nginx's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A `$` without a name.
    #[error("invalid variable name")]
    Name,
    /// `${name` without `}`.
    #[error("the closing bracket in \"{0}\" variable is missing")]
    Bracket(String),
}

/// The name of a variable that nobody defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown \"{}\" variable", self.0)
    }
}

impl std::error::Error for Unknown {}

impl Source {
    /// Takes a text apart.
    pub fn parse(text: &str) -> Result<Source, SyntaxError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            rest = &rest[at + 1..];
            if let Some(digit @ b'1'..=b'9') = rest.bytes().next() {
                pieces.push(Piece::Capture(digit - b'0'));
                rest = &rest[1..];
                continue;
            }
            let inner = rest.strip_prefix('{');
            let from = inner.unwrap_or(rest);
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let name = &from[..from.bytes().take_while(is_name).count()];
            rest = &from[name.len()..];
            if inner.is_some() {
                rest = match rest.strip_prefix('}') {
                    Some(rest) => rest,
                    None if from.is_empty() => return Err(SyntaxError::Name),
                    None => return Err(SyntaxError::Bracket(name.to_owned())),
                };
            }
            if name.is_empty() {
                return Err(SyntaxError::Name);
            }
            pieces.push(Piece::Name(name.to_ascii_lowercase()));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Source { pieces })
    }

    /// A text in which a `$` is a character like any other.
    pub fn literal(text: &str) -> Source {
        match text {
            "" => Source::default(),
            text => Source { pieces: vec![Piece::Text(text.to_owned())] },
        }
    }

    /// Puts another text behind it: no name goes on from one into the other.
    pub fn append(&mut self, other: Source) {
        for piece in other.pieces {
            match (self.pieces.last_mut(), piece) {
                (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
                (_, piece) => self.pieces.push(piece),
            }
        }
    }

    /// The first capture in it, `$1` to `$9`, by its number.
    pub fn capture(&self) -> Option<u8> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Capture(number) => Some(*number),
            Piece::Text(_) | Piece::Name(_) => None,
        })
    }

    /// Whether there is neither a variable nor a capture in it.
    pub fn is_literal(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The text, if there is neither a variable nor a capture in it.
    pub fn as_literal(&self) -> Option<&str> {
        match &self.pieces[..] {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The template, each name looked up by `find`. The first name without a variable is the error.
    pub fn resolve(&self, find: impl Fn(&str) -> Option<Variable>) -> Result<Template, Unknown> {
        let part = |piece: &Piece| match piece {
            Piece::Text(text) => Ok(Part::Text(text.as_bytes().into())),
            Piece::Capture(number) => Ok(Part::Variable(Variable::Capture(*number))),
            Piece::Name(name) => match find(name) {
                Some(variable) => Ok(Part::Variable(variable)),
                None => Err(Unknown(name.clone())),
            },
        };
        Ok(Template { parts: self.pieces.iter().map(part).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(text: &str) -> Result<Template, String> {
        let source = Source::parse(text).map_err(|error| error.to_string())?;
        source.resolve(Variable::named).map_err(|error| error.to_string())
    }

    fn text(text: &str) -> Part {
        Part::Text(text.as_bytes().into())
    }

    #[test]
    fn texts_are_taken_apart() {
        use Part::Variable as V;
        for (source, parts) in [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            ("$host", vec![V(Variable::Host)]),
            ("$HOST", vec![V(Variable::Host)]),
            ("a${host}b", vec![text("a"), V(Variable::Host), text("b")]),
            ("$host$uri", vec![V(Variable::Host), V(Variable::Uri)]),
            ("$host:$server_port;", vec![V(Variable::Host), text(":"), V(Variable::ServerPort), text(";")]),
            (
                "/$1/$23",
                vec![text("/"), V(Variable::Capture(1)), text("/"), V(Variable::Capture(2)), text("3")],
            ),
            ("$http_x_y", vec![V(Variable::Http("x_y".into()))]),
            ("$upstream_http_x", vec![V(Variable::UpstreamHttp("x".into()))]),
            ("$sent_http_etag", vec![V(Variable::SentHttp("etag".into()))]),
            ("$query_string", vec![V(Variable::Args)]),
        ] {
            assert_eq!(template(source), Ok(Template { parts: parts.into() }), "{source}");
        }
    }

    #[test]
    fn bad_texts_are_refused_in_nginx_s_words() {
        for (text, error) in [
            ("$", "invalid variable name"),
            ("a$-b", "invalid variable name"),
            ("$$host", "invalid variable name"),
            ("${", "invalid variable name"),
            ("${}", "invalid variable name"),
            ("${host", "the closing bracket in \"host\" variable is missing"),
            ("${ho-st}", "the closing bracket in \"ho\" variable is missing"),
            ("${-}", "the closing bracket in \"\" variable is missing"),
            ("$0", "unknown \"0\" variable"),
            ("$hosts", "unknown \"hosts\" variable"),
            ("$Foo", "unknown \"foo\" variable"),
        ] {
            assert_eq!(template(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_template_tells_what_is_in_it() {
        let plain = template("a b").expect("a template");
        assert_eq!(plain.as_text(), Some(&b"a b"[..]));
        assert_eq!(plain, Template::text("a b"));
        assert_eq!(Template::text("").as_text(), Some(&b""[..]));
        assert!(Template::text("").is_empty());
        let mixed = template("a $uri$1 $uri").expect("a template");
        assert_eq!(mixed.as_text(), None);
        let variables: Vec<_> = mixed.variables().cloned().collect();
        assert_eq!(variables, [Variable::Uri, Variable::Capture(1), Variable::Uri]);
    }

    #[test]
    fn texts_behind_each_other_share_no_name() {
        let mut source = Source::parse("a").expect("a text");
        for more in ["b$ur", "i"] {
            source.append(Source::parse(more).expect("a text"));
        }
        assert_eq!(source.resolve(Variable::named), Err(Unknown("ur".to_owned())));
        let template = source.resolve(|_| Some(Variable::Uri)).expect("it is known");
        assert_eq!(*template.parts, [text("ab"), Part::Variable(Variable::Uri), text("i")]);
    }

    #[test]
    fn names_are_found_and_lower_case() {
        for name in Variable::NAMES {
            assert!(Variable::named(name).is_some(), "{name}");
            assert_eq!(*name, name.to_ascii_lowercase());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_an_error(text in "\\PC{0,30}|[${}a-z_1 ]{0,30}") {
            if let Ok(source) = Source::parse(&text) {
                let template = source.resolve(|_| Some(Variable::Uri)).expect("all are known");
                let texts = template.parts.windows(2).all(|pair| !matches!(pair, [Part::Text(_), Part::Text(_)]));
                prop_assert!(texts);
                if !text.contains('$') {
                    prop_assert_eq!(template.as_text(), Some(text.as_bytes()));
                }
            }
        }
    }
}
