"""Commands of features that are served: what is ready, and the service."""
