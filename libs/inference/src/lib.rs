//! prescale-inference.
