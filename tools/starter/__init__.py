"""How the starter cast and the demo sound are made, from nothing."""
