"""All rules of choosing: which image to go back to, what stands in the way, what to write. Pure."""
