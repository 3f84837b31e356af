"""The only HTTP of the command: bounded in time and size, discreet, and one for all services.

What a service answers and what that means is known by its client (registries, stores, forges).
"""
