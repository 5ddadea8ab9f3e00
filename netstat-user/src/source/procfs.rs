//! Listings by /proc/net.
