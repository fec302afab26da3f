//! prescale.
