"""Everything once, in minutes and without data: what ``lit-coiba demo`` runs."""

from lit_coiba.demo.command import demo

__all__ = ["demo"]
