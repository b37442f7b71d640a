"""LightningModules that learn, and what they learn from."""
