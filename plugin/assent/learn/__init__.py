"""Trains heads and measures models on labelled images. No code that serves imports this package."""
