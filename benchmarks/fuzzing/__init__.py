"""Random inputs for everything that reads what strangers wrote, and what must hold for each of them."""
