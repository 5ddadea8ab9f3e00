//! Views written out as text.
