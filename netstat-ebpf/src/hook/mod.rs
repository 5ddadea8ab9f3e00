//! Attach points, by the way of attaching.

mod btf;
mod fentry;
mod kprobe;
mod mini;
mod nested;
mod raw;
mod reset;
mod tracepoint;
