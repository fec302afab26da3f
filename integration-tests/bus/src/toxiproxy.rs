//! A network between clients and servers on loopback that can be cut, held, made to lose and slowed:
//! Shopify's toxiproxy, a real one. It must not know what is sent.

use crate::cache::from_go;
use crate::guarded::Guarded;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use ureq::Agent;

const PACKAGE: &str = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0";
/// Longest wait for it to answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for a link to be mended as it is.
const MENDED_WITHIN: Duration = Duration::from_secs(5);
/// So late that it is held until the link is mended.
const HELD: Duration = Duration::from_secs(24 * 3600);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From clients to the server.
    ToServer,
    /// From the server to clients.
    ToClient,
}

const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

/// A toxiproxy; it ends when this is dropped, and its links with it.
pub struct Toxiproxy {
    agent: Agent,
    url: String,
    _server: Guarded,
    _folder: TempDir,
}

impl Toxiproxy {
    /// Starts one.
    ///
    /// # Panics
    /// When Go is missing, or it does not come up; with what to do about it.
    pub fn start() -> Self {
        let program = from_go("toxiproxy-2.5.0", PACKAGE).join("server").display().to_string();
        let folder = tempfile::tempdir().expect("a folder for toxiproxy");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound port").port();
        drop(listener);
        let command = [program, "-host".to_owned(), "127.0.0.1".to_owned(), "-port".to_owned(), port.to_string()];
        let log = folder.path().join("toxiproxy.log");
        let server = Guarded::start(&command, &[], &log);
        let agent: Agent = Agent::config_builder().timeout_global(Some(READY_WITHIN)).build().into();
        let url = format!("http://127.0.0.1:{port}");
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = agent.get(format!("{url}/version")).call() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < deadline, "toxiproxy does not answer within {READY_WITHIN:?}: {error}\n{said}");
            thread::park_timeout(Duration::from_millis(20));
        }
        Self { agent, url, _server: server, _folder: folder }
    }

    /// A link to a port of loopback, from a port of its own.
    ///
    /// # Panics
    /// When toxiproxy refuses it.
    pub fn link(&self, server_port: u16) -> Link {
        let asked = json!({
            "name": format!("to-{server_port}"),
            "listen": "127.0.0.1:0",
            "upstream": format!("127.0.0.1:{server_port}"),
            "enabled": true,
        });
        let mut answer = self.agent.post(format!("{}/proxies", self.url)).send_json(asked).expect("the link is made");
        let made: Value = answer.body_mut().read_json().expect("toxiproxy answers in JSON");
        let listens = made["listen"].as_str().and_then(|at| at.rsplit_once(':'));
        let port = listens.and_then(|(_, port)| port.parse().ok()).expect("it says where it listens");
        Link { agent: self.agent.clone(), url: format!("{}/proxies/to-{server_port}", self.url), port }
    }
}

/// A link to one server.
#[derive(Clone, Debug)]
pub struct Link {
    agent: Agent,
    url: String,
    port: u16,
}

impl Link {
    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets every connection when something is sent over it, old ones and new ones.
    pub fn cut(&self) {
        WAYS.into_iter().for_each(|way| self.poison(way, "reset_peer", json!({ "timeout": 0 })));
    }

    /// Lets nothing arrive that goes this way until the link is mended; then it all does, in order, where the
    /// connection is still there.
    pub fn hold(&self, way: Way) {
        self.poison(way, "latency", json!({ "latency": millis(HELD) }));
    }

    /// Loses what goes this way; connections stay until the link is mended, and are reset then.
    pub fn lose(&self, way: Way) {
        self.poison(way, "timeout", json!({ "timeout": 0 }));
    }

    /// Delays what goes each way, and bounds how much of it there is on each connection.
    pub fn slow(&self, latency: Duration, kilobytes_per_second: u32) {
        for way in WAYS {
            self.poison(way, "latency", json!({ "latency": millis(latency) }));
            self.poison(way, "bandwidth", json!({ "rate": kilobytes_per_second }));
        }
    }

    fn poison(&self, way: Way, kind: &str, attributes: Value) {
        let stream = match way {
            Way::ToServer => "upstream",
            Way::ToClient => "downstream",
        };
        let toxic =
            json!({ "name": format!("{kind}-{stream}"), "type": kind, "stream": stream, "attributes": attributes });
        self.agent.post(format!("{}/toxics", self.url)).send_json(toxic).expect("the link is changed");
    }

    /// Makes everything as it was.
    ///
    /// # Panics
    /// When it cannot.
    pub fn mend(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = self.try_to_mend() {
            assert!(Instant::now() < deadline, "the link is not mended within {READY_WITHIN:?}: {error}");
            // It stands still where it hands on what it held to an end that does not read: that connection has to go.
            for enabled in [false, true] {
                let asked = self.agent.post(&self.url).config().timeout_global(Some(MENDED_WITHIN)).build();
                drop(asked.send_json(json!({ "enabled": enabled })));
            }
        }
    }

    fn try_to_mend(&self) -> Result<(), ureq::Error> {
        let url = format!("{}/toxics", self.url);
        let mut answer = self.agent.get(&url).config().timeout_global(Some(MENDED_WITHIN)).build().call()?;
        let toxics: Value = answer.body_mut().read_json()?;
        for toxic in toxics.as_array().into_iter().flatten() {
            let name = toxic["name"].as_str().expect("a toxic has a name");
            self.agent.delete(format!("{url}/{name}")).config().timeout_global(Some(MENDED_WITHIN)).build().call()?;
        }
        Ok(())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("less than ages")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// A server that sends back what it gets.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut back = stream.try_clone().expect("it is cloned");
                    drop(std::io::copy(&mut stream, &mut back));
                });
            }
        });
        port
    }

    fn send(link: &Link, text: &str, patience: Duration) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", link.port())).expect("the link accepts");
        stream.set_read_timeout(Some(patience)).expect("the timeout is set");
        stream.write_all(text.as_bytes()).expect("it is sent");
        stream
    }

    /// What comes back; `None` when nothing does while the connection stays.
    fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 64];
        match stream.read(&mut buffer) {
            Ok(length) => Some(buffer[..length].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Some(Vec::new()),
            Err(_) => None,
        }
    }

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_link_holds_loses_cuts_and_slows_until_it_is_mended() {
        let proxy = Toxiproxy::start();
        let link = proxy.link(echo());
        for way in WAYS {
            link.hold(way);
            let mut held = send(&link, "held", SHORT);
            assert_eq!(answer(&mut held), None, "{way:?}");
            link.mend();
            held.set_read_timeout(Some(LONG)).expect("the timeout is set");
            assert_eq!(answer(&mut held).expect("it arrives"), b"held", "{way:?}");
            link.lose(way);
            let mut lost = send(&link, "lost", SHORT);
            assert_eq!(answer(&mut lost), None, "{way:?}");
            link.mend();
            lost.set_read_timeout(Some(LONG)).expect("the timeout is set");
            assert_eq!(answer(&mut lost).expect("the connection ends"), b"", "{way:?}");
        }
        let mut early = TcpStream::connect(("127.0.0.1", link.port())).expect("the link accepts");
        early.set_read_timeout(Some(LONG)).expect("the timeout is set");
        link.cut();
        drop(early.write_all(b"cut"));
        assert_eq!(answer(&mut early).expect("it is ended"), b"");
        assert_eq!(answer(&mut send(&link, "cut", LONG)).expect("it is ended"), b"");
        link.mend();
        link.slow(Duration::from_millis(1), 1);
        assert_eq!(answer(&mut send(&link, "slow", LONG)).expect("it arrives"), b"slow");
    }
}
