"""Lists of known pictures: what is on them is found by its hash, before any model looks at it."""
