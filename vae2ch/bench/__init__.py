"""Measurements of the project itself: ``sound``, ``speed``, ``compare``. Nothing else imports this package."""
