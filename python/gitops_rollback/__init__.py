"""Put the previous image back: archive, deploy and roll back images in a GitOps repository."""

__version__ = "1.0.0"
