"""The manifests repository through git's plumbing: no work tree, no full clone, no force."""
