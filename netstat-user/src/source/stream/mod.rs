//! The live stream of the kernel half.
