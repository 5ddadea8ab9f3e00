//! What this kernel and this privilege allow.
