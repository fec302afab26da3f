//! prescale-collector.
