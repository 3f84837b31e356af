"""The query by which tags of a registry are chosen. Pure."""
