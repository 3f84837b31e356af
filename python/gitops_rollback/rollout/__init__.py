"""Pure judgement of a rollout: what Flux and Kubernetes say of one change, and what it means."""
