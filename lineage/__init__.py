"""Where it came from: events, outbox, store, trace, impact."""
