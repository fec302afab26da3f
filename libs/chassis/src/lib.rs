//! prescale-chassis.
