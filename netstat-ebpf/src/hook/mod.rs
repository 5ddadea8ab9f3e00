//! Attach points, by the way of attaching.

mod btf;
mod fentry;
mod kprobe;
mod nested;
mod raw;
mod tracepoint;
