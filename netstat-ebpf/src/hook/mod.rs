//! Attach points, by the way of attaching.

mod btf;
mod fentry;
mod files;
mod kprobe;
mod life;
mod mini;
mod nested;
mod raw;
mod reset;
mod tracepoint;
mod window;
