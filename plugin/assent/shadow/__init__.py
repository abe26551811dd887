"""Tries, promotes and rolls back a tenant's own heads, beside the shipped ones."""
