"""Facts gathered by I/O for the rules of choosing: from Git, registries, records and storage."""
