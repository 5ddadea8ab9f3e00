//! Listings by NETLINK_SOCK_DIAG.
