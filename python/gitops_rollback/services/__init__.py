"""Which services there are, and which image fields are theirs. Pure."""
