"""Runnable examples: a small social platform, a demo that puts Assent beside it, and a script that sends one event."""
