"""The hosts of Git repositories, as far as they are more than Git: pull requests."""
