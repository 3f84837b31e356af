"""What ran when: the formats that tell of it, and the account that they make together. Pure."""
