//! prescale-fingerprinter.
