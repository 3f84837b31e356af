"""Flux image policies: whether one would take a bad image again. Pure."""
