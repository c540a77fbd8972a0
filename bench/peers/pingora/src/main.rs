//! Pingora as a minimal reverse proxy: round robin over some servers, with the forwarding fields that all subjects
//! of `bench compare` add. Pingora is a library; this is the least program around it.

use async_trait::async_trait;
use clap::Parser;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::RoundRobin;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// Pingora as a minimal reverse proxy, with one thread.
#[derive(Parser)]
#[command(version = "with pingora-proxy 0.9.1")]
struct Options {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS")]
    listen: String,
    /// The servers, in turn
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', required = true)]
    upstream: Vec<String>,
}

struct Proxy {
    servers: LoadBalancer<RoundRobin>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let server = self.servers.select(b"", 256).expect("servers that nobody checks are all well");
        Ok(Box::new(HttpPeer::new(server, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            let client = client.ip().to_string();
            request.insert_header("X-Real-IP", client.as_str())?;
            request.append_header("X-Forwarded-For", client)?;
        }
        if let Some(host) = request.headers.get("Host").cloned() {
            request.insert_header("X-Forwarded-Host", host)?;
        }
        request.insert_header("X-Forwarded-Proto", "http")
    }
}

fn main() {
    let options = Options::parse();
    let conf = ServerConf {
        threads: 1,
        // With one thread there is nobody to steal from.
        work_stealing: false,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let servers = LoadBalancer::try_from_iter(&options.upstream).expect("--upstream lists addresses");
    let mut service = http_proxy_service(&server.configuration, Proxy { servers });
    service.add_tcp(&options.listen);
    server.add_service(service);
    server.run_forever();
}
