//! `prescale health`: asks a service's `/readyz`, for the health checks of containers.

use anyhow::{Context as _, Result, bail};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Asks `http://<address>/readyz`.
///
/// # Errors
/// When there is no answer within 3 s, or it is not "ready"; with the answer's text.
pub fn health(address: &str) -> Result<()> {
    let resolved = address
        .to_socket_addrs()
        .with_context(|| format!("--address {address:?} is no host:port"))?
        .next()
        .with_context(|| format!("--address {address:?} has no address"))?;
    let mut stream =
        TcpStream::connect_timeout(&resolved, TIMEOUT).with_context(|| format!("nothing answers at {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).with_context(|| format!("no answer from {address}"))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split_whitespace().nth(1) == Some("200") {
        return Ok(());
    }
    bail!("{address} is not ready: {}", body.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn asked(answer: &'static str) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // A connection that is closed before all was read is reset, and the answer lost.
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut some = [0; 1024];
                let n = stream.read(&mut some).unwrap();
                asked.extend(&some[..n]);
                assert!(n > 0, "the request ended early: {asked:?}");
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked).into_owned()
        });
        let result = health(&address);
        assert!(server.join().unwrap().starts_with("GET /readyz "));
        result
    }

    #[test]
    fn ready_is_200_and_the_reason_is_passed_on() {
        asked("HTTP/1.1 200 OK\r\n\r\nok\n").unwrap();
        let error = asked("HTTP/1.1 503 Service Unavailable\r\n\r\nplanner: starting\n").unwrap_err().to_string();
        assert!(error.contains("planner: starting"), "{error}");
    }
}
