"""Finds images on hash lists by their hash, before any model sees them."""
