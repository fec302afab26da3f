//! prescale-predictor.
