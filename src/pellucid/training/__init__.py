"""Training: one readable loop on Lightning Fabric (`fit`), its settings, and checkpoints without pickle."""
