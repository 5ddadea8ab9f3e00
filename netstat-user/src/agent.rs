//! Wiring: sources -> table -> sinks.
