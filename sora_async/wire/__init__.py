"""The protocol of the unified video format: pure functions between bytes and values, without any input or output."""
