"""Flux and the workloads it applies, read from a cluster; the only place that talks to one."""
