//! Names for numbers: hosts, services, users. Lookup only.
