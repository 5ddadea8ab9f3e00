//! Filtered, sorted selections of rows.
