"""Networks, their runner, and the cast file."""
