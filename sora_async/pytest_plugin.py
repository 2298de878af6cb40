"""Fixtures for tests of apps that use this library."""
