"""LightningModules: glue between a torch module and the Trainer."""
