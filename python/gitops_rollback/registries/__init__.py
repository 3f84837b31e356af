"""Clients of Docker Hub and of OCI registries: the only place that talks to them."""
