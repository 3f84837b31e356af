"""Manifests as text: find image fields, change them byte for byte, prove the result. Pure."""
