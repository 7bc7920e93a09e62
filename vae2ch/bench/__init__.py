"""Benchmarks, rendering of sounds to measure on, and the file of a base model. Nothing else imports this package."""
