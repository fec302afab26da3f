//! prescale-console.
