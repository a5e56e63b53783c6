"""Resumable runs: what `animate3d animate`, `demo` and the test set do, step by step."""
