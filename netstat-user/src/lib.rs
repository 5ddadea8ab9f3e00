//! enetstat.
