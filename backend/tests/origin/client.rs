//! A blocking HTTP/1.1 client that reads exactly one response at a time and trusts nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use backend::{Address, Options, Server};

/// The longest wait for anything; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server for the given `--serve` values, after `change`.
pub(crate) fn server(serve: &[&str], change: impl FnOnce(&mut Options)) -> Server {
    let mut options = Options::new(serve.iter().map(|text| text.parse().unwrap()).collect());
    change(&mut options);
    Server::start(options).unwrap()
}

/// One connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The number in a greeting.
    pub(crate) fn hit(&self) -> i64 {
        let number = self.text().split_once("! Hits: ").expect("a greeting").1;
        number.trim_end().parse().unwrap()
    }
}

impl Client {
    pub(crate) fn connect(server: &Server, name: &str) -> Self {
        let Some(Address::Tcp(address)) = server.address(name) else {
            panic!("{name} is not served over TCP")
        };
        Self::to(address)
    }

    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// A GET on a connection that stays.
    pub(crate) fn fetch(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        if matches!(response.status, 100..=199 | 204 | 304) {
            return response;
        }
        if response.field("Transfer-Encoding").is_some() {
            assert_eq!(response.field("Content-Length"), None, "two framings");
            response.body = self.chunks().concat();
        } else if let Some(length) = response.field("Content-Length") {
            response.body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut response.body).unwrap();
        } else {
            self.reader.read_to_end(&mut response.body).unwrap();
        }
        response
    }

    /// A response without its body.
    pub(crate) fn head(&mut self) -> Response {
        let line = self.line();
        let status = line.strip_prefix("HTTP/1.1 ").expect("a status line")[..3].parse().unwrap();
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return Response { status, fields, body: Vec::new() };
            }
            let (name, value) = line.split_once(": ").expect("a field");
            fields.push((name.into(), value.into()));
        }
    }

    /// The chunks of a body, checked for their framing.
    pub(crate) fn chunks(&mut self) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            let mut chunk = vec![0; size];
            self.reader.read_exact(&mut chunk).unwrap();
            assert_eq!(self.line(), "", "after a chunk of {size}");
            if size == 0 {
                return chunks;
            }
            chunks.push(chunk);
        }
    }

    /// A line without its CRLF.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("{line:?} does not end in CRLF")).into()
    }

    /// The server closed, and sent nothing before.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{:?}", rest.escape_ascii().to_string());
    }
}
