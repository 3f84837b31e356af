"""What takes effect: which field decides an image once overlays and Flux had their say. Pure."""
