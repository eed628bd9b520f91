"""Features over HTTP: the service that reads the online store, and its client."""
