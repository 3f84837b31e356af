"""Findings about PersistentVolumes, claims, storage classes and the pods that use them. Pure."""
