//! prescale-actuator.
