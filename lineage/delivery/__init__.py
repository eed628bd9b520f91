"""From a finished run to the store and to other backends: recorder, spool, outbox, transports, rebuild."""
