"""Measurements, always as a ratio of two things run side by side; nothing here is asserted by a test."""
