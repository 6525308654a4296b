"""Assertions of unit tests: which one a test should end with, learned from a larger model (Trident)."""
