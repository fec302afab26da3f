//! prescale-contracts.
