"""How long data stays: pins keep a snapshot readable, the guarded vacuum deletes what nobody needs."""
