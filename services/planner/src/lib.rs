//! prescale-planner.
