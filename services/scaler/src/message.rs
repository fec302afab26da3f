//! The messages of KEDA's service `externalscaler.ExternalScaler`, by the numbers of their fields. Of a quantity's two
//! fields the integer counts where the other is not above zero, as it is for those who only know the integer.

use prost::Message;
use std::collections::BTreeMap;

/// The calls' paths begin with it.
pub const SERVICE: &str = "/externalscaler.ExternalScaler/";

/// The ScaledObject that asks.
#[derive(Clone, PartialEq, Message)]
pub struct ScaledObjectRef {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// The metadata of its trigger.
    #[prost(btree_map = "string, string", tag = "3")]
    pub scaler_metadata: BTreeMap<String, String>,
}

/// Answer of `IsActive` and `StreamIsActive`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct IsActiveResponse {
    /// Whether there have to be replicas at all.
    #[prost(bool, tag = "1")]
    pub result: bool,
}

/// Answer of `GetMetricSpec` and `StreamMetricSpec`.
#[derive(Clone, PartialEq, Message)]
pub struct GetMetricSpecResponse {
    /// What is to be asked for.
    #[prost(message, repeated, tag = "1")]
    pub metric_specs: Vec<MetricSpec>,
}

/// A metric, and how much of it there is to be for each replica.
#[derive(Clone, PartialEq, Message)]
pub struct MetricSpec {
    /// Its name.
    #[prost(string, tag = "1")]
    pub metric_name: String,
    /// How much, as an integer.
    #[prost(int64, tag = "2")]
    pub target_size: i64,
    /// How much.
    #[prost(double, tag = "3")]
    pub target_size_float: f64,
}

/// Asks for a metric.
#[derive(Clone, PartialEq, Message)]
pub struct GetMetricsRequest {
    /// Who asks.
    #[prost(message, optional, tag = "1")]
    pub scaled_object_ref: Option<ScaledObjectRef>,
    /// Name of the metric.
    #[prost(string, tag = "2")]
    pub metric_name: String,
}

/// Answer of `GetMetrics`.
#[derive(Clone, PartialEq, Message)]
pub struct GetMetricsResponse {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub metric_values: Vec<MetricValue>,
}

/// The value of a metric.
#[derive(Clone, PartialEq, Message)]
pub struct MetricValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub metric_name: String,
    /// The value, as an integer.
    #[prost(int64, tag = "2")]
    pub metric_value: i64,
    /// The value.
    #[prost(double, tag = "3")]
    pub metric_value_float: f64,
}
