"""Trains, exports, verifies and evaluates the forecasting models that Prescale ships."""

__version__ = "0.1.0"
