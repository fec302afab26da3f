//! A network link on loopback that can be cut, held one way, and slowed. It must not know what is
//! sent over it.
//!
//! What is lost on a real network TCP sends again, so loss shows as bytes that come late or never:
//! a held link delivers them once it is mended, if the connection is still there.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a pump without traffic looks whether its connection is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From clients to the server.
    ToServer,
    /// From the server to clients.
    ToClient,
}

/// What becomes of bytes that go one way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Flow {
    #[default]
    Free,
    Held,
    Slow {
        latency: Duration,
        bytes_per_second: f64,
    },
}

#[derive(Debug, Default)]
struct Condition {
    to_server: Flow,
    to_client: Flow,
    is_cut: bool,
    is_closed: bool,
    /// Counts the cuts: a connection from before one ends.
    cuts: u64,
}

#[derive(Debug, Default)]
struct Shared {
    condition: Mutex<Condition>,
    changed: Condvar,
}

impl Shared {
    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Condition)) {
        change(&mut self.condition());
        self.changed.notify_all();
    }

    fn lives(&self, connected_at: u64) -> bool {
        let condition = self.condition();
        condition.cuts == connected_at && !condition.is_closed
    }

    /// Waits until so many bytes may go on; false when their connection is to end instead.
    fn let_through(&self, way: Way, bytes: usize, connected_at: u64) -> bool {
        let since = Instant::now();
        let mut condition = self.condition();
        loop {
            if condition.cuts != connected_at || condition.is_closed {
                return false;
            }
            let flow = match way {
                Way::ToServer => condition.to_server,
                Way::ToClient => condition.to_client,
            };
            let left = match flow {
                Flow::Free => return true,
                Flow::Held => LOOK_EVERY,
                Flow::Slow { latency, bytes_per_second } => {
                    let takes = latency + Duration::from_secs_f64(bytes as f64 / bytes_per_second);
                    takes.saturating_sub(since.elapsed())
                }
            };
            if left.is_zero() {
                return true;
            }
            let waited = self.changed.wait_timeout(condition, left).unwrap_or_else(PoisonError::into_inner);
            condition = waited.0;
        }
    }
}

/// A link to one server. Its threads end when this is dropped.
#[derive(Debug)]
pub struct Link {
    port: u16,
    shared: Arc<Shared>,
}

impl Link {
    /// A link to a port of loopback, from a port of its own.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, server_port, &accepting));
        Self { port, shared }
    }

    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all connections and takes no new ones.
    pub fn cut(&self) {
        self.shared.change(|condition| {
            condition.is_cut = true;
            condition.cuts += 1;
        });
    }

    /// Lets nothing arrive that goes this way; connections stay.
    pub fn hold(&self, way: Way) {
        self.set(way, Flow::Held);
    }

    /// Delays what goes this way, and bounds how much of it there is.
    pub fn slow(&self, way: Way, latency: Duration, bytes_per_second: f64) {
        self.set(way, Flow::Slow { latency, bytes_per_second });
    }

    fn set(&self, way: Way, flow: Flow) {
        self.shared.change(|condition| match way {
            Way::ToServer => condition.to_server = flow,
            Way::ToClient => condition.to_client = flow,
        });
    }

    /// Makes everything as it was; what was held arrives.
    pub fn mend(&self) {
        self.shared.change(|condition| {
            condition.is_cut = false;
            condition.to_server = Flow::Free;
            condition.to_client = Flow::Free;
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.change(|condition| condition.is_closed = true);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn accept(listener: &TcpListener, server_port: u16, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        let (is_cut, is_closed, cuts) = {
            let condition = shared.condition();
            (condition.is_cut, condition.is_closed, condition.cuts)
        };
        if is_closed {
            return;
        }
        if is_cut {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
        let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { continue };
        let (up, down) = (Arc::clone(shared), Arc::clone(shared));
        thread::spawn(move || pump(from_client, server, Way::ToServer, &up, cuts));
        thread::spawn(move || pump(from_server, client, Way::ToClient, &down, cuts));
    }
}

/// Carries bytes until either side ends or the link is cut, and ends the connection then.
fn pump(mut from: TcpStream, mut to: TcpStream, way: Way, shared: &Shared, connected_at: u64) {
    let mut buffer = vec![0; 16 << 10];
    let set_up = from.set_read_timeout(Some(LOOK_EVERY)).and_then(|()| to.set_nodelay(true));
    while set_up.is_ok() && shared.lives(connected_at) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if !shared.let_through(way, length, connected_at) || to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    for stream in [&from, &to] {
        drop(stream.shutdown(Shutdown::Both));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn connect(link: &Link) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", link.port())).expect("the link accepts");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("the timeout is set");
        stream
    }

    fn answer(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
        let mut buffer = vec![0; 64];
        let length = stream.read(&mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }

    #[test]
    fn what_is_held_arrives_when_the_link_is_mended() {
        for way in [Way::ToServer, Way::ToClient] {
            let link = Link::to(echo());
            let mut stream = connect(&link);
            link.hold(way);
            stream.write_all(b"one").expect("it is sent");
            assert!(answer(&mut stream).is_err(), "nothing arrives");
            link.mend();
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("the timeout is set");
            assert_eq!(answer(&mut stream).expect("it arrives"), b"one");
        }
    }

    #[test]
    fn a_cut_ends_connections_and_takes_none() {
        let link = Link::to(echo());
        let mut stream = connect(&link);
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("the timeout is set");
        link.cut();
        assert_eq!(answer(&mut stream).unwrap_or_default(), b"", "it is ended");
        let mut refused = connect(&link);
        drop(refused.write_all(b"two"));
        assert_eq!(answer(&mut refused).unwrap_or_default(), b"");
        link.mend();
        let mut stream = connect(&link);
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("the timeout is set");
        link.slow(Way::ToClient, Duration::from_millis(1), 1000.0);
        stream.write_all(b"three").expect("it is sent");
        assert_eq!(answer(&mut stream).expect("it arrives"), b"three");
    }
}
