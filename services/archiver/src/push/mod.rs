//! Time-series databases that samples are sent to over HTTP.

mod endpoint;
mod line_protocol;
mod pieces;
mod remote_write;
mod sender;

use crate::config::{INFLUXDB, INFLUXDB_ACCESS, InfluxdbConfig, PROMETHEUS_ACCESS, PrometheusConfig};
use crate::features::Selection;
use anyhow::{Context as _, Result};
use endpoint::{Endpoint, Protocol};
use line_protocol::LineProtocol;
use pieces::{Encode, Encoder};
use prescale_chassis::sink::SinkOf;
use remote_write::RemoteWrite;
use sender::Sender;
use std::sync::Arc;
use url::Url;

/// A configured store.
pub(crate) struct Store<E> {
    encoder: E,
    endpoint: Arc<Endpoint>,
    pieces_per_request_max: usize,
}

impl<E: Encoder + Clone + 'static> Store<E> {
    /// What makes its sinks.
    pub(crate) fn sinks<C>(&self) -> Box<SinkOf<C>>
    where
        E: Encode<C>,
        C: Send + 'static,
    {
        let Self { encoder, endpoint, pieces_per_request_max } = self;
        let (encoder, endpoint, most) = (encoder.clone(), Arc::clone(endpoint), *pieces_per_request_max);
        Box::new(move |_| Box::new(Sender::new(encoder.clone(), Arc::clone(&endpoint), most)))
    }
}

/// A store that takes Prometheus remote write.
pub(crate) fn prometheus(config: &PrometheusConfig) -> Result<Store<RemoteWrite>> {
    let protocol = Protocol { url: config.url.clone(), token_scheme: "Bearer", headers: remote_write::HEADERS };
    Ok(Store {
        encoder: RemoteWrite::new(Selection::of(&config.features)?),
        endpoint: Arc::new(Endpoint::new(protocol, PROMETHEUS_ACCESS, &config.access)?),
        pieces_per_request_max: config.samples_per_request_max,
    })
}

/// A store that takes InfluxDB's line protocol.
pub(crate) fn influxdb(config: &InfluxdbConfig) -> Result<Store<LineProtocol>> {
    let (url, token_scheme) = influxdb_url(config)?;
    let protocol = Protocol { url: url.into(), token_scheme, headers: line_protocol::HEADERS };
    Ok(Store {
        encoder: LineProtocol::new(Selection::of(&config.features)?),
        endpoint: Arc::new(Endpoint::new(protocol, INFLUXDB_ACCESS, &config.access)?),
        pieces_per_request_max: config.lines_per_request_max,
    })
}

/// Where to write, and under which scheme the version takes a token.
fn influxdb_url(config: &InfluxdbConfig) -> Result<(Url, &'static str)> {
    let is_v1 = !config.database.is_empty();
    let path = if is_v1 { "write" } else { "api/v2/write" };
    let base = config.url.trim_end_matches('/');
    let mut url = Url::parse(&format!("{base}/{path}")).with_context(|| format!("[{INFLUXDB}] url = {base:?}"))?;
    let mut query = url.query_pairs_mut();
    if is_v1 {
        query.append_pair("db", &config.database);
        if !config.retention_policy.is_empty() {
            query.append_pair("rp", &config.retention_policy);
        }
    } else {
        query.append_pair("org", &config.org).append_pair("bucket", &config.bucket);
    }
    query.append_pair("precision", "ms");
    drop(query);
    Ok((url, if is_v1 { "Bearer" } else { "Token" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_of_influxdb_has_its_own_address() {
        let v1 = InfluxdbConfig {
            url: "http://i:8086/".to_owned(),
            database: "a b".to_owned(),
            retention_policy: "year".to_owned(),
            ..Default::default()
        };
        let (url, scheme) = influxdb_url(&v1).unwrap();
        assert_eq!((url.as_str(), scheme), ("http://i:8086/write?db=a+b&rp=year&precision=ms", "Bearer"));
        let v2 = InfluxdbConfig {
            url: "https://i/influx".to_owned(),
            org: "o&o".to_owned(),
            bucket: "b".to_owned(),
            ..Default::default()
        };
        let (url, scheme) = influxdb_url(&v2).unwrap();
        assert_eq!(url.as_str(), "https://i/influx/api/v2/write?org=o%26o&bucket=b&precision=ms");
        assert_eq!(scheme, "Token");
    }
}
