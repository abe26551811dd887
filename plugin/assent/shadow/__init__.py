"""Heads on trial, live and rolled back: a tenant's own, beside the shipped ones."""
