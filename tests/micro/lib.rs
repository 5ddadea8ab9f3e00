//! Only benchmarks: a package of its own, so that nothing else has to be built with what measures them.
