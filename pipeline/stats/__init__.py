"""Statistics as pure functions: frames and arrays in, frames out; no files, no parameters, no printing."""
